//! The stream of the released code's checkpoints (tux `StreamingCheckpointer`, flax `msgpack_serialize`).
//!
//! One entry after another, to the file's end:
//!
//! ```text
//! entry = [path, value]          msgpack array of two
//! path  = [text, text, …]        names from the root, as ["encoder", "in_proj", "kernel"]
//! value = bytes                  a msgpack document of its own:
//!         extension 1            flax's mark of an array, around
//!         [shape, dtype, bytes]  [[192, 64], "bfloat16", little-endian values, last axis fastest]
//! ```
//!
//! Parameters alone begin at their root or below one or two `params`; a training state has `step` and `opt_state`
//! beside them, which are passed over. A declared length is held against the file's before anything is done with it.

use super::error::ReleasedError;
use super::names::Source;
use rmp::Marker;
use rmp::decode::{self, NumValueReadError, ValueReadError};
use std::collections::BTreeMap;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

type Result<T, E = ReleasedError> = std::result::Result<T, E>;

/// Flax's number for an array among msgpack's extensions.
const ARRAY: i8 = 1;

/// Names from the root to an array, at most; the deepest in a training state has twelve.
const DEEPEST_PATH: u32 = 32;
/// Bytes of one name, and of a dtype, at most.
const LONGEST_NAME: u32 = 255;
/// Axes of an array, at most: numpy's own limit is 64, the model's is 3.
const MOST_AXES: u32 = 8;
/// Arrays of parameters in a file, at most; a model has 26.
const MOST_ARRAYS: usize = 10_000;

#[derive(Clone, Copy, Debug)]
enum NumberType {
    Float32,
    Bfloat16,
}

impl NumberType {
    fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Bfloat16 => 2,
        }
    }
}

/// An array of parameters that waits in the file.
#[derive(Debug)]
struct Array {
    number_type: NumberType,
    shape: Vec<usize>,
    /// Where its values begin.
    offset: u64,
}

/// A file whose descriptions were read; its values are still in it.
pub(super) struct Stream<R> {
    file: Counted<R>,
    arrays: BTreeMap<String, Array>,
}

impl<R: Read + Seek> Stream<R> {
    /// Reads all descriptions and passes over all values.
    pub(super) fn scan(file: R) -> Result<Self> {
        let mut file = Counted::new(file)?;
        if file.length == 0 {
            return Err(ReleasedError::Truncated { part: "the first entry", length: 0 });
        }
        let mut arrays = BTreeMap::new();
        while file.at < file.length {
            let Some((path, array)) = file.entry()? else { continue };
            if arrays.len() == MOST_ARRAYS {
                let (declared, expected) = (MOST_ARRAYS as u64 + 1, format!("at most {MOST_ARRAYS}"));
                return Err(ReleasedError::Length { offset: file.at, part: "the list of arrays", declared, expected });
            }
            if arrays.contains_key(&path) {
                return Err(ReleasedError::Duplicate { path });
            }
            arrays.insert(path, array);
        }
        Ok(Self { file, arrays })
    }

    /// The arrays' shapes by path.
    pub(super) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.arrays.iter().map(|(path, array)| (path.clone(), array.shape.clone())).collect()
    }

    /// Columns of a source: its last axis.
    pub(super) fn columns(&self, source: &Source) -> usize {
        *self.arrays[&source.path].shape.last().expect("compared shapes have an axis")
    }

    /// Copies a source to `first_column` and behind of the rows of `to`, which are `width` long.
    pub(super) fn copy(&mut self, source: &Source, to: &mut [f32], width: usize, first_column: usize) -> Result<()> {
        let (columns, rows) = (self.columns(source), to.len() / width);
        let Array { number_type, offset, .. } = self.arrays[&source.path];
        let mut bytes = vec![0; columns * number_type.bytes()];
        let skipped = source.layer.unwrap_or(0) as u64 * (rows * bytes.len()) as u64;
        self.file.go(offset + skipped)?;
        for row in to.chunks_exact_mut(width) {
            self.file.read_exact(&mut bytes)?;
            let row = &mut row[first_column..first_column + columns];
            match number_type {
                NumberType::Float32 => {
                    row.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| *to = f32::from_le_bytes(*bytes));
                }
                // The upper half of an f32.
                NumberType::Bfloat16 => {
                    row.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| {
                        *to = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                    });
                }
            }
            if let Some(value) = row.iter().find(|value| !value.is_finite()) {
                return Err(ReleasedError::NotFinite { path: source.path.clone(), value: *value });
            }
        }
        Ok(())
    }
}

/// A reader that knows where it is.
struct Counted<R> {
    inner: BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Counted<R> {
    fn new(mut file: R) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self { inner: BufReader::new(file), at: 0, length })
    }

    fn go(&mut self, at: u64) -> io::Result<()> {
        self.inner.seek(SeekFrom::Start(at))?;
        self.at = at;
        Ok(())
    }

    /// An array of parameters with its path, or nothing for another part of a training state.
    fn entry(&mut self) -> Result<Option<(String, Array)>> {
        let begin = self.at;
        let parts = self.item("an entry [path, value]", decode::read_array_len)?;
        exactly(begin, "an entry [path, value]", parts.into(), 2)?;
        let path = self.path()?;
        let (bytes, end) = self.within("an entry's value", decode::read_bin_len)?;
        let path = match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["step" | "opt_state", ..] => {
                self.inner.seek_relative(bytes)?;
                self.at = end;
                return Ok(None);
            }
            ["params", "params", ref below @ ..] | ["params", ref below @ ..] | ref below => below.join("/"),
        };
        let (array, values_end) = self.array(&path)?;
        exactly(begin, "an entry's value", end, values_end)?;
        Ok(Some((path, array)))
    }

    fn path(&mut self) -> Result<Vec<String>> {
        let begin = self.at;
        let depth = self.item("an array's path", decode::read_array_len)?;
        at_most(begin, "an array's path", depth, DEEPEST_PATH)?;
        (0..depth).map(|_| self.text("a name of a path")).collect()
    }

    /// The description of an array; passes over its values. Also says where they end.
    fn array(&mut self, path: &str) -> Result<(Array, u64)> {
        let begin = self.at;
        let mut kind = 0;
        let (_, extension_end) = self.within("an array (extension 1)", |reader| {
            let meta = decode::read_ext_meta(reader)?;
            kind = meta.typeid;
            Ok(meta.size)
        })?;
        if kind != ARRAY {
            let (part, found) = ("an array (extension 1)", format!("extension {kind}"));
            return Err(ReleasedError::Unexpected { offset: begin, part, found });
        }
        let described = self.at;
        let parts = self.item("an array's [shape, dtype, values]", decode::read_array_len)?;
        exactly(described, "an array's [shape, dtype, values]", parts.into(), 3)?;
        let shape = self.shape()?;
        let number_type = match self.text("an array's dtype")?.as_str() {
            "float32" => NumberType::Float32,
            "bfloat16" => NumberType::Bfloat16,
            other => return Err(ReleasedError::NumberType { path: path.to_owned(), dtype: other.to_owned() }),
        };
        let values = shape.iter().try_fold(number_type.bytes(), |bytes, axis| bytes.checked_mul(*axis));
        let Some(values) = values else {
            return Err(ReleasedError::Shape { path: path.to_owned(), shape });
        };
        let declared = self.at;
        let (bytes, end) = self.within("an array's values", decode::read_bin_len)?;
        exactly(declared, "an array's values", bytes as u64, values as u64)?;
        exactly(begin, "an array (extension 1)", extension_end, end)?;
        let array = Array { number_type, shape, offset: self.at };
        self.inner.seek_relative(bytes)?;
        self.at = end;
        Ok((array, end))
    }

    fn shape(&mut self) -> Result<Vec<usize>> {
        let begin = self.at;
        let axes = self.item("an array's shape", decode::read_array_len)?;
        at_most(begin, "an array's shape", axes, MOST_AXES)?;
        (0..axes).map(|_| self.item("an axis of an array's shape", read_axis)).collect()
    }

    fn text(&mut self, part: &'static str) -> Result<String> {
        let begin = self.at;
        let length = self.item(part, decode::read_str_len)?;
        at_most(begin, part, length, LONGEST_NAME)?;
        let mut bytes = vec![0; length as usize];
        self.read_exact(&mut bytes).map_err(|error| self.failed(part, error))?;
        String::from_utf8(bytes).map_err(|error| ReleasedError::Unexpected {
            offset: begin,
            part,
            found: format!("bytes that are no text ({})", error.utf8_error()),
        })
    }

    /// A length, and where what it counts will end; both within the file.
    fn within(
        &mut self,
        part: &'static str,
        read: impl FnOnce(&mut Self) -> Result<u32, ValueReadError>,
    ) -> Result<(i64, u64)> {
        let length = self.item(part, read)?;
        let end = self.at + u64::from(length);
        if end > self.length {
            return Err(ReleasedError::Truncated { part, length: self.length });
        }
        Ok((length.into(), end))
    }

    fn item<T>(&mut self, part: &'static str, read: impl FnOnce(&mut Self) -> Result<T, ValueReadError>) -> Result<T> {
        let offset = self.at;
        read(self).map_err(|error| match error {
            ValueReadError::InvalidMarkerRead(error) | ValueReadError::InvalidDataRead(error) => {
                self.failed(part, error)
            }
            ValueReadError::TypeMismatch(found) => {
                ReleasedError::Unexpected { offset, part, found: describe(found).to_owned() }
            }
        })
    }

    fn failed(&self, part: &'static str, error: io::Error) -> ReleasedError {
        match error.kind() {
            ErrorKind::UnexpectedEof => ReleasedError::Truncated { part, length: self.length },
            _ => error.into(),
        }
    }
}

/// A number that counts values; a negative one is as wrong as a text.
fn read_axis(reader: &mut impl Read) -> Result<usize, ValueReadError> {
    decode::read_int(reader).map_err(|error| match error {
        NumValueReadError::InvalidMarkerRead(error) => ValueReadError::InvalidMarkerRead(error),
        NumValueReadError::InvalidDataRead(error) => ValueReadError::InvalidDataRead(error),
        NumValueReadError::TypeMismatch(marker) => ValueReadError::TypeMismatch(marker),
        NumValueReadError::OutOfRange => ValueReadError::TypeMismatch(Marker::I64),
    })
}

fn exactly(offset: u64, part: &'static str, declared: u64, expected: u64) -> Result<()> {
    if declared == expected {
        return Ok(());
    }
    Err(ReleasedError::Length { offset, part, declared, expected: expected.to_string() })
}

fn at_most(offset: u64, part: &'static str, declared: u32, most: u32) -> Result<()> {
    if declared <= most {
        return Ok(());
    }
    Err(ReleasedError::Length { offset, part, declared: declared.into(), expected: format!("at most {most}") })
}

fn describe(marker: Marker) -> &'static str {
    match marker {
        Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => "a number",
        Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => "a negative number",
        Marker::F32 | Marker::F64 => "a fraction",
        Marker::Null => "nothing (nil)",
        Marker::True | Marker::False => "a truth value",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a text",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "bytes",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "a list",
        // How flax writes an array of more than 1 GiB; no model that could be trained with the released code has one.
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a dictionary",
        Marker::Reserved => "a reserved byte",
        _ => "an extension",
    }
}
