//! The boxes of an ISO media file (ISO/IEC 14496-12): length, four letters, content.
//!
//! A parser of our own, since a damaged file must end in an error: `re_mp4` 0.5 reads a box of size 0 inside `stbl` for
//! ever, indexes its sample tables unchecked, and drops the composition times that edit lists refer to.

/// Four letters.
pub(super) type Kind = [u8; 4];

/// Why a file cannot be read, for a person.
pub(super) type Reason = String;

/// Big-endian numbers from a box's content.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Reason> {
        let too_short = || format!("a box ends {} bytes before its content does", count - self.0.len());
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(too_short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        Ok(self.bytes(N)?.try_into().expect("as many bytes as were asked for"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Reason> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Reason> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Reason> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Reason> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Reason> {
        self.array().map(u64::from_be_bytes)
    }

    /// Version and flags, with which a "full box" begins: the version.
    pub(super) fn version(&mut self) -> Result<u8, Reason> {
        Ok(self.array::<4>()?[0])
    }

    /// A 64-bit number in version 1, else a 32-bit one.
    pub(super) fn wide(&mut self, version: u8) -> Result<u64, Reason> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// A count of entries of `size` bytes each, which must be there: no memory is set aside for what a file only claims.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, Reason> {
        let count = self.u32()? as usize;
        if count.saturating_mul(size) > self.0.len() {
            let held = self.0.len() / size;
            return Err(format!("a table claims {count} entries and holds {held}"));
        }
        Ok(count)
    }

    /// The next box: its letters and content. `None` behind the last.
    pub(super) fn next_box(&mut self) -> Result<Option<(Kind, &'a [u8])>, Reason> {
        if self.0.len() < 8 {
            // QuickTime ends some lists with a 32-bit zero.
            return Ok(None);
        }
        let (size, kind) = (self.u32()?, self.array()?);
        let length = match size {
            0 => self.0.len(),
            1 => (self.u64()?.checked_sub(16)).and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX),
            size => (size as usize).checked_sub(8).unwrap_or(usize::MAX),
        };
        if length > self.0.len() {
            let name = String::from_utf8_lossy(&kind);
            return Err(format!("the box '{name}' claims a size that its surroundings do not have"));
        }
        Ok(Some((kind, self.bytes(length)?)))
    }
}

/// The content of the first box that `path` leads to from `content`, if there is one.
pub(super) fn find<'a>(content: &'a [u8], path: &[&Kind]) -> Result<Option<&'a [u8]>, Reason> {
    let Some((first, rest)) = path.split_first() else { return Ok(Some(content)) };
    let mut boxes = Fields(content);
    while let Some((kind, inside)) = boxes.next_box()? {
        if kind == **first {
            return find(inside, rest);
        }
    }
    Ok(None)
}

/// [`find`], where a file without the box is of no use.
pub(super) fn need<'a>(content: &'a [u8], path: &[&Kind]) -> Result<Fields<'a>, Reason> {
    let missing = || {
        let names: Vec<_> = path.iter().map(|kind| String::from_utf8_lossy(*kind)).collect();
        format!("the box {} is missing", names.join("/"))
    };
    find(content, path)?.map(Fields).ok_or_else(missing)
}
