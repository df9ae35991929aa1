//! What can be wrong with a released file: where, what was found, what was expected.

use std::fmt;
use std::io;

/// Why a file of released parameters cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleasedError {
    /// The system could not read it.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It ends inside something.
    #[error("ends after {length} bytes, inside {part}: it was cut short, fetch it again")]
    Truncated {
        /// What was being read.
        part: &'static str,
        /// The file's length in bytes.
        length: u64,
    },
    /// There is something else than the format has in that place.
    #[error(
        "byte {offset}: {found} where the format has {part}; is this a file of parameters as the released code saves \
         them (`params` or `streaming_train_state`)?"
    )]
    Unexpected {
        /// Where, in bytes from the file's begin.
        offset: u64,
        /// What belongs there.
        part: &'static str,
        /// What is there.
        found: String,
    },
    /// A length that what is behind it does not bear out, or that no file of the released code has.
    #[error("byte {offset}: {part} has the length {declared}, expected {expected}")]
    Length {
        /// Where, in bytes from the file's begin.
        offset: u64,
        /// What declares the length.
        part: &'static str,
        /// What it declares.
        declared: u64,
        /// What it may be: «43» or «at most 8».
        expected: String,
    },
    /// Numbers of a kind that the released code does not store weights in.
    #[error("{path} holds numbers of type {dtype}; only float32 and bfloat16 are read")]
    NumberType {
        /// The array.
        path: String,
        /// Its type, as numpy calls it.
        dtype: String,
    },
    /// A shape that holds more values than can be counted.
    #[error("{path} has the impossible shape {shape:?}")]
    Shape {
        /// The array.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The same array twice.
    #[error("{path} stands in the file twice")]
    Duplicate {
        /// The array.
        path: String,
    },
    /// A weight that is infinite or not a number.
    #[error("{path} holds {value}: a model with such a weight computes nothing")]
    NotFinite {
        /// The array.
        path: String,
        /// The weight.
        value: f32,
    },
    /// Another model than the one asked for.
    #[error("does not hold the model asked for{0}")]
    Mismatch(#[from] Mismatch),
}

/// In what the arrays of a file differ from those of the model asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mismatch {
    /// Arrays of the model that the file lacks.
    pub missing: Vec<String>,
    /// Arrays of the file that the model has no place for.
    pub left_over: Vec<String>,
    /// Arrays of both whose shapes differ.
    pub wrong_shape: Vec<WrongShape>,
}

/// An array whose shape is not the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongShape {
    /// The array.
    pub path: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// Its shape in the model asked for.
    pub expected: Vec<usize>,
}

impl Mismatch {
    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty() && self.wrong_shape.is_empty()
    }
}

/// Left-over arrays shown; missing ones and wrong shapes are at most as many as a model has.
const MOST_SHOWN: usize = 100;

/// A line for each array.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in &self.missing {
            write!(f, "\n  missing    {path}")?;
        }
        for path in self.left_over.iter().take(MOST_SHOWN) {
            write!(f, "\n  left over  {path}")?;
        }
        if self.left_over.len() > MOST_SHOWN {
            write!(f, "\n  left over  … and {} more", self.left_over.len() - MOST_SHOWN)?;
        }
        for WrongShape { path, found, expected } in &self.wrong_shape {
            write!(f, "\n  shape      {path} is {found:?}, expected {expected:?}")?;
        }
        write!(f, "\n  choose the preset or configuration that it was trained with")
    }
}
