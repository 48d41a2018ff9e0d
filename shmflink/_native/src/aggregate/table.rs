//! A table of groups.

use arrow_array::{new_null_array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use std::sync::Arc;

use super::argument::Argument;
use super::state::{Groups, Slots, State};
use super::states::{self, Parameter};
use crate::error::TableError;
use crate::keyed::changed::Changed;
use crate::keyed::keys::Keys;
use crate::keyed::plain::plain_type;
use crate::keyed::rows::{KeyedRows, RUN_ROWS};

/// A larger row area is released when the table is emptied.
const KEPT_BYTES: usize = 64 << 20;

/// Metadata of an argument's field: the expression that the user wrote.
const EXPRESSION_KEY: &str = "expression";

/// The description of a call, from which the table is made.
#[derive(Clone)]
pub struct CallSpec {
    pub name: String,
    pub function: String,
    pub arguments: Vec<usize>,
    pub parameters: Vec<Parameter>,
    pub is_distinct: bool,
}

pub(super) struct Aggregate {
    pub(super) state: Box<dyn State>,
    pub(super) arguments: Vec<usize>,
    pub(super) partials: std::ops::Range<usize>,
}

pub struct Table {
    pub(super) keyed: KeyedRows,
    pub(super) aggregates: Vec<Aggregate>,
    input: SchemaRef,
    partial: SchemaRef,
    result: SchemaRef,
    /// Groups that changed since they were last requested, if changes are tracked.
    changed: Option<Changed>,
    /// How far a drain has got.
    drained: usize,
}

impl Table {
    pub fn new(
        keys: &Schema,
        arguments: &Schema,
        calls: &[CallSpec],
        tracks_changes: bool,
    ) -> Result<Self, TableError> {
        let key_types: Vec<_> = keys
            .fields()
            .iter()
            .map(|field| plain_type(field.data_type()))
            .collect();
        let argument_types: Vec<_> = arguments
            .fields()
            .iter()
            .map(|f| plain_type(f.data_type()).clone())
            .collect();
        let mut keyed = KeyedRows::new(Keys::new(key_types.iter().copied())?);
        let key_fields = keys
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), plain_type(field.data_type()).clone(), true));
        let mut partial: Vec<Field> = key_fields.collect();
        let mut result = partial.clone();
        let mut aggregates = Vec::new();
        for call in calls {
            let types: Vec<_> = call
                .arguments
                .iter()
                .map(|index| argument_types[*index].clone())
                .collect();
            let mut state = states::make(&states::Call {
                function: &call.function,
                arguments: &types,
                parameters: &call.parameters,
                is_distinct: call.is_distinct,
                has_flink_types: false,
                label: &label_of(call, arguments),
            })?;
            state.place(keyed.stride());
            keyed.template.extend(state.initial());
            let first = partial.len();
            partial.extend(state.partial_fields().into_iter().map(|(part, data_type)| {
                let name = if part.is_empty() {
                    call.name.clone()
                } else {
                    format!("{}.{part}", call.name)
                };
                Field::new(name, data_type, true)
            }));
            result.push(Field::new(&call.name, state.result_type(), true));
            aggregates.push(Aggregate {
                state,
                arguments: call.arguments.clone(),
                partials: first..partial.len(),
            });
        }
        let inputs = keys
            .fields()
            .iter()
            .chain(arguments.fields())
            .cloned()
            .collect::<Vec<_>>();
        Ok(Self {
            keyed,
            aggregates,
            input: Arc::new(Schema::new(inputs)),
            partial: Arc::new(Schema::new(partial)),
            result: Arc::new(Schema::new(result)),
            changed: tracks_changes.then(Changed::default),
            drained: 0,
        })
    }

    /// A table with the same groups that no longer changes.
    pub(super) fn with(&self, keyed: KeyedRows) -> Self {
        Self {
            keyed,
            aggregates: Vec::new(),
            input: self.input.clone(),
            partial: self.partial.clone(),
            result: self.result.clone(),
            changed: None,
            drained: 0,
        }
    }

    pub fn input_schema(&self) -> &SchemaRef {
        &self.input
    }

    pub fn partial_schema(&self) -> &SchemaRef {
        &self.partial
    }

    pub fn result_schema(&self) -> &SchemaRef {
        &self.result
    }

    pub fn key_count(&self) -> usize {
        self.keyed.keys.len()
    }

    pub fn groups(&self) -> usize {
        self.keyed.groups
    }

    /// Memory of all groups.
    pub fn bytes(&self) -> usize {
        let states: usize = self.aggregates.iter().map(|aggregate| aggregate.state.bytes()).sum();
        self.keyed.bytes() + states
    }

    /// Processes rows of the input schema: key columns, then argument columns.
    pub fn update(&mut self, columns: &[ArrayRef], rows: usize) -> Result<(), TableError> {
        self.take(
            columns,
            rows,
            &self.input.clone(),
            |aggregate, slots, arguments, start| aggregate.state.update(slots, arguments, start),
            |aggregate| aggregate.arguments.clone(),
        )
    }

    /// Processes rows of the partial schema.
    pub fn merge(&mut self, columns: &[ArrayRef], rows: usize) -> Result<(), TableError> {
        let keys = self.keyed.keys.len();
        self.take(
            columns,
            rows,
            &self.partial.clone(),
            |aggregate, slots, partials, start| aggregate.state.merge(slots, partials, start),
            |aggregate| aggregate.partials.clone().map(|column| column - keys).collect(),
        )
    }

    /// Creates one group without rows, if there is no key and there were no rows.
    pub fn ensure_group(&mut self) -> Result<(), TableError> {
        if self.keyed.groups > 0 || self.keyed.keys.len() > 0 {
            return Ok(());
        }
        let nothing: Vec<_> = self
            .partial
            .fields()
            .iter()
            .map(|f| new_null_array(f.data_type(), 1))
            .collect();
        self.merge(&nothing, 1)
    }

    fn take(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        expected: &Schema,
        mut kernel: impl FnMut(&mut Aggregate, &Slots<'_>, &[&Argument], usize) -> Result<(), TableError>,
        inputs_of: impl Fn(&Aggregate) -> Vec<usize>,
    ) -> Result<(), TableError> {
        if self.drained > 0 {
            let message = format!("rows for a table with {} groups drained", self.drained);
            return Err(TableError::Internal(message));
        }
        check_columns(columns, expected)?;
        let (keys, arguments) = columns.split_at(self.keyed.keys.len());
        let keys = self.keyed.keys.batch(keys)?;
        let arguments = Argument::all(arguments)?;
        let inputs: Vec<Vec<&Argument>> = self
            .aggregates
            .iter()
            .map(|aggregate| inputs_of(aggregate).iter().map(|index| &arguments[*index]).collect())
            .collect();
        let groups_before = self.keyed.groups;
        let needs_all = self.changed.is_some() || self.aggregates.iter().any(|a| a.state.takes_whole_batches());
        let mut all = Vec::with_capacity(if needs_all { rows } else { 0 });
        for start in (0..rows).step_by(RUN_ROWS) {
            let len = RUN_ROWS.min(rows - start);
            let before = self.keyed.groups;
            if self.aggregates.is_empty() {
                self.keyed.add_keys(&keys, start, len)?;
            } else {
                self.keyed.find(&keys, start, len)?;
            }
            self.touch_found(before);
            let slots = Slots {
                rows: &self.keyed.addresses,
                groups: &self.keyed.ids,
                groups_before: before,
                groups_now: self.keyed.groups,
                base: self.keyed.rows.address(),
                stride: self.keyed.stride(),
            };
            for (aggregate, inputs) in self.aggregates.iter_mut().zip(&inputs) {
                if !aggregate.state.takes_whole_batches() {
                    kernel(aggregate, &slots, inputs, start)?;
                }
            }
            if needs_all {
                all.extend_from_slice(&self.keyed.ids);
            }
        }
        if !needs_all {
            return Ok(());
        }
        if let Some(changed) = &mut self.changed {
            if self.aggregates.is_empty() {
                // The state of a key cannot change: only new keys are to be reported (DISTINCT).
                all.retain(|id| *id as usize >= groups_before);
            }
            changed.mark(&all, self.keyed.groups);
        }
        let (base, stride) = (self.keyed.rows.address(), self.keyed.stride());
        let addresses: Vec<_> = all.iter().map(|id| base.wrapping_add(*id as usize * stride)).collect();
        let slots = Slots {
            rows: &addresses,
            groups: &all,
            groups_before,
            groups_now: self.keyed.groups,
            base,
            stride,
        };
        for (aggregate, inputs) in self.aggregates.iter_mut().zip(&inputs) {
            if aggregate.state.takes_whole_batches() {
                kernel(aggregate, &slots, inputs, 0)?;
            }
        }
        Ok(())
    }

    /// Must be called before kernels write to the rows that were found.
    #[inline]
    pub(super) fn touch_found(&mut self, groups_before: usize) {
        if self.aggregates.is_empty() {
            // The state of a key cannot change.
            if let Some(marks) = &mut self.keyed.history.marks {
                marks.mark_range(groups_before..self.keyed.groups);
            }
            return;
        }
        self.keyed.history.touch(&self.keyed.ids, self.keyed.groups);
    }

    /// The next at most `rows_max` partial rows; None when all have been returned, and the table is then empty.
    pub fn drain_partials(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError> {
        self.drain(rows_max, true)
    }

    /// Like `drain_partials`, with results.
    pub fn drain_results(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError> {
        self.drain(rows_max, false)
    }

    fn drain(&mut self, rows_max: usize, is_partial: bool) -> Result<Option<RecordBatch>, TableError> {
        let end = (self.drained + rows_max.max(1)).min(self.keyed.groups);
        if self.drained == end {
            self.clear();
            return Ok(None);
        }
        let ids: Vec<u32> = (self.drained as u32..end as u32).collect();
        self.drained = end;
        let batch = if is_partial {
            self.partials_of(&ids)
        } else {
            self.results_of(&ids)
        };
        Ok(Some(batch?))
    }

    /// Results of at most `rows_max` groups that changed since the last call returned them; None if there are none.
    pub fn take_changed(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError> {
        let Some(changed) = &mut self.changed else {
            return Err(TableError::Internal("a table that does not track changes".into()));
        };
        let ids = changed.take(rows_max.max(1));
        if ids.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.results_of(&ids)?))
    }

    /// Changes so far need not be reported.
    pub(super) fn forget_changes(&mut self) {
        if let Some(changed) = &mut self.changed {
            *changed = Changed::default();
        }
    }

    /// Drops all groups; keeps memory up to a limit.
    pub fn clear(&mut self) {
        self.keyed.clear(KEPT_BYTES);
        self.aggregates.iter_mut().for_each(|aggregate| aggregate.state.clear());
        self.forget_changes();
        self.drained = 0;
    }

    pub fn partials_of(&self, ids: &[u32]) -> Result<RecordBatch, TableError> {
        let groups = self.groups_of(ids);
        let mut columns = self.keyed.key_columns(ids)?;
        for aggregate in &self.aggregates {
            columns.extend(aggregate.state.partials(&groups)?);
        }
        batch_of(&self.partial, columns, ids.len())
    }

    pub fn results_of(&self, ids: &[u32]) -> Result<RecordBatch, TableError> {
        let groups = self.groups_of(ids);
        let mut columns = self.keyed.key_columns(ids)?;
        for aggregate in &self.aggregates {
            columns.push(aggregate.state.result(&groups)?);
        }
        batch_of(&self.result, columns, ids.len())
    }

    pub(super) fn groups_of<'a>(&self, ids: &'a [u32]) -> Groups<'a> {
        Groups {
            ids,
            rows: self.keyed.rows.address(),
            stride: self.keyed.stride(),
        }
    }

    /// The key columns of these groups.
    pub fn key_columns_of(&self, ids: &[u32]) -> Result<Vec<ArrayRef>, TableError> {
        self.keyed.key_columns(ids)
    }
}

/// What messages call an aggregate's argument: the text of its first argument if the schema has it.
fn label_of(call: &CallSpec, arguments: &Schema) -> String {
    let field = call.arguments.first().map(|index| arguments.field(*index));
    let text = field.and_then(|field| field.metadata().get(EXPRESSION_KEY).or(Some(field.name())));
    format!(
        "{} of `{}`",
        call.function.trim_start_matches(states::FLINK),
        text.map_or("", |text| text)
    )
}

/// Kernels read values by the types with which the table was made.
fn check_columns(columns: &[ArrayRef], expected: &Schema) -> Result<(), TableError> {
    let fields = expected.fields();
    let is_same = |(array, field): (&ArrayRef, &FieldRef)| {
        plain_type(array.data_type()).equals_datatype(plain_type(field.data_type()))
    };
    if columns.len() == fields.len() && columns.iter().zip(fields).all(is_same) {
        return Ok(());
    }
    let types: Vec<_> = columns.iter().map(|array| array.data_type().to_string()).collect();
    let wanted: Vec<_> = fields.iter().map(|field| field.to_string()).collect();
    let message = format!("columns of {} for a table of {}", types.join(", "), wanted.join(", "));
    Err(TableError::Internal(message))
}

fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, TableError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
