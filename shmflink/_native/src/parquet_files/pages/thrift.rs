//! A reader of Thrift's compact protocol.

/// The reason why a value cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes end inside the value.
    Short,
    Bad,
}

pub type Read<T> = Result<T, Stop>;

const NESTING_MAX: usize = 16;
const VARINT_BITS: u32 = 64;

pub const TRUE: u8 = 1;
pub const FALSE: u8 = 2;
pub const STRUCT: u8 = 12;

/// A position in the bytes of a struct.
pub struct Compact<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Compact<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn byte(&mut self) -> Read<u8> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn advance(&mut self, bytes: u64) -> Read<()> {
        let left = (self.bytes.len() - self.at) as u64;
        if bytes > left {
            return Err(Stop::Short);
        }
        self.at += bytes as usize;
        Ok(())
    }

    fn varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for shift in (0..VARINT_BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Stop::Bad)
    }

    pub fn int(&mut self) -> Read<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A count or length.
    pub fn size(&mut self) -> Read<usize> {
        let value = i32::try_from(self.int()?).map_err(|_| Stop::Bad)?;
        usize::try_from(value).map_err(|_| Stop::Bad)
    }

    /// Number and type of the next field of a struct, None at its end; `last` is the number of the previous field.
    pub fn field(&mut self, last: &mut i16) -> Read<Option<(i16, u8)>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let delta = i16::from(head >> 4);
        *last = match delta {
            0 => i16::try_from(self.int()?).map_err(|_| Stop::Bad)?,
            _ => last.checked_add(delta).ok_or(Stop::Bad)?,
        };
        Ok(Some((*last, head & 0xf)))
    }

    /// Skips a value.
    pub fn skip(&mut self, kind: u8) -> Read<()> {
        self.skip_within(kind, NESTING_MAX)
    }

    fn skip_within(&mut self, kind: u8, depth: usize) -> Read<()> {
        let depth = depth.checked_sub(1).ok_or(Stop::Bad)?;
        match kind {
            TRUE | FALSE => Ok(()),
            3 => self.advance(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.advance(8),
            8 => {
                let length = self.varint()?;
                self.advance(length)
            }
            9 | 10 => self.skip_list(depth),
            STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip_within(kind, depth)?;
                }
                Ok(())
            }
            _ => Err(Stop::Bad),
        }
    }

    fn skip_list(&mut self, depth: usize) -> Read<()> {
        let head = self.byte()?;
        let (short, kind) = (u64::from(head >> 4), head & 0xf);
        let count = if short == 15 { self.varint()? } else { short };
        for _ in 0..count {
            // In lists, a boolean takes a byte.
            match kind {
                TRUE | FALSE => self.advance(1)?,
                _ => self.skip_within(kind, depth)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_each_other_and_others_are_skipped() {
        // field 1: i32 = 3; field 2: struct { field 1: binary "ab" }; field 20: i32 = -1
        let bytes = [0x15, 6, 0x1c, 0x18, 2, b'a', b'b', 0, 0x05, 40, 1, 0];
        let (mut compact, mut last) = (Compact::new(&bytes), 0);
        assert_eq!(compact.field(&mut last), Ok(Some((1, 5))));
        assert_eq!(compact.int(), Ok(3));
        assert_eq!(compact.field(&mut last), Ok(Some((2, STRUCT))));
        assert_eq!(compact.skip(STRUCT), Ok(()));
        assert_eq!(compact.field(&mut last), Ok(Some((20, 5))));
        assert_eq!(compact.int(), Ok(-1));
        assert_eq!(compact.field(&mut last), Ok(None));
        assert_eq!(compact.at, bytes.len());
    }

    #[test]
    fn bytes_that_end_early_are_short_and_endless_nesting_is_bad() {
        assert_eq!(Compact::new(&[0x18, 9, 1]).skip(STRUCT), Err(Stop::Short));
        assert_eq!(Compact::new(&[0x1c; 64]).skip(STRUCT), Err(Stop::Bad));
        assert_eq!(Compact::new(&[0xff; 11]).int(), Err(Stop::Bad));
    }
}
