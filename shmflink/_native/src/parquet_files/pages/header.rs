//! Page headers.

use super::thrift::{Compact, Read, FALSE, STRUCT};

/// The encoding of a page's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Dictionary,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Levels precede the values; both are compressed together.
    Data,
    /// Uncompressed levels precede the values: the bytes of repetition levels and of definition levels.
    DataV2 {
        repetition: usize,
        definition: usize,
        is_compressed: bool,
    },
    Dictionary,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    pub kind: PageKind,
    pub encoding: Encoding,
    /// For V1 pages: whether definition levels are run-length encoded, as they have been since 2013.
    pub has_run_levels: bool,
    pub values: usize,
    pub compressed: usize,
    pub uncompressed: usize,
    /// The bytes of the header itself.
    pub bytes: usize,
}

/// The fields of the struct for one page type.
struct Details {
    values: usize,
    encoding: i64,
    levels: i64,
    definition: usize,
    repetition: usize,
    is_compressed: bool,
}

const RLE: i64 = 3;

impl PageHeader {
    /// `Short` if the header does not end within these bytes.
    pub fn read(bytes: &[u8]) -> Read<Self> {
        let (mut compact, mut last) = (Compact::new(bytes), 0);
        let (mut page_type, mut uncompressed, mut compressed) = (-1, 0, 0);
        let mut details = Details::none();
        while let Some((number, kind)) = compact.field(&mut last)? {
            match (number, kind) {
                (1, 5) => page_type = compact.int()?,
                (2, 5) => uncompressed = compact.size()?,
                (3, 5) => compressed = compact.size()?,
                (5, STRUCT) => details = Details::read(&mut compact, false)?,
                (7, STRUCT) => details = Details::read(&mut compact, false)?,
                (8, STRUCT) => details = Details::read(&mut compact, true)?,
                _ => compact.skip(kind)?,
            }
        }
        Ok(Self {
            kind: details.kind(page_type),
            encoding: details.encoding(),
            has_run_levels: details.levels == RLE,
            values: details.values,
            compressed,
            uncompressed,
            bytes: compact.at,
        })
    }
}

impl Details {
    fn none() -> Self {
        Self {
            values: 0,
            encoding: -1,
            levels: RLE,
            definition: 0,
            repetition: 0,
            is_compressed: true,
        }
    }

    fn read(compact: &mut Compact<'_>, is_v2: bool) -> Read<Self> {
        let (mut details, mut last) = (Self::none(), 0);
        while let Some((number, kind)) = compact.field(&mut last)? {
            match (number, is_v2) {
                (1, _) => details.values = compact.size()?,
                (2, false) | (4, true) if kind == 5 => details.encoding = compact.int()?,
                (3, false) if kind == 5 => details.levels = compact.int()?,
                (5, true) => details.definition = compact.size()?,
                (6, true) => details.repetition = compact.size()?,
                (7, true) => details.is_compressed = kind != FALSE,
                _ => compact.skip(kind)?,
            }
        }
        Ok(details)
    }

    fn kind(&self, page_type: i64) -> PageKind {
        match page_type {
            0 => PageKind::Data,
            2 => PageKind::Dictionary,
            3 => PageKind::DataV2 {
                repetition: self.repetition,
                definition: self.definition,
                is_compressed: self.is_compressed,
            },
            _ => PageKind::Other,
        }
    }

    fn encoding(&self) -> Encoding {
        match self.encoding {
            0 => Encoding::Plain,
            2 | 8 => Encoding::Dictionary,
            _ => Encoding::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::thrift::Stop;
    use super::*;

    #[test]
    fn a_data_page_of_version_1() {
        // type 0, 100 and 50 bytes, data_page_header { 10 values, RLE_DICTIONARY, RLE, RLE }
        let bytes = [
            0x15, 0, 0x15, 200, 1, 0x15, 100, 0x2c, 0x15, 20, 0x15, 16, 0x15, 6, 0x15, 6, 0, 0, 99,
        ];
        let header = PageHeader::read(&bytes).unwrap();
        assert_eq!(header.kind, PageKind::Data);
        assert_eq!(header.encoding, Encoding::Dictionary);
        assert_eq!((header.values, header.uncompressed, header.compressed), (10, 100, 50));
        assert_eq!(header.bytes, bytes.len() - 1);
        assert_eq!(PageHeader::read(&bytes[..9]), Err(Stop::Short));
    }

    #[test]
    fn a_negative_size_is_bad() {
        assert_eq!(PageHeader::read(&[0x15, 0, 0x15, 1, 0]), Err(Stop::Bad));
    }
}
