//! Weights as PyTorch saves them: `.pth` files, read without running anything that a pickle may ask for.

use pytorch_reader::{DType, PytorchReader};
use std::collections::BTreeMap;
use std::path::Path;

/// Named arrays of one or several files.
#[derive(Debug, Default)]
pub(super) struct Arrays(BTreeMap<String, Array>);

/// Numbers and their shape, row-major.
#[derive(Debug)]
pub(super) struct Array {
    name: String,
    shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// Why files are not the weights of a perceptual network.
#[derive(Debug, thiserror::Error)]
pub(super) enum WeightsProblem {
    #[error("is not a readable PyTorch file: {0}")]
    Unreadable(String),
    #[error("{name} is {shape:?} of {kind}, not of 32-bit floats: save the weights as such")]
    NotFloats { name: String, shape: Vec<usize>, kind: String },
    #[error("{name} is missing")]
    Missing { name: String },
    #[error("{name} has the shape {found:?} where {expected:?} belongs")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error(
        "hold no network that is known: give ST-LPIPS's alex_shift_tolerant.pth or vgg_shift_tolerant.pth, or \
         torchvision's vgg16 together with LPIPS's vgg.pth"
    )]
    Unknown,
}

impl Arrays {
    /// Adds the arrays of a file; of equal names the last counts.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), WeightsProblem> {
        let reader = PytorchReader::new(path).map_err(|error| WeightsProblem::Unreadable(error.to_string()))?;
        for (name, tensor) in reader.into_tensors() {
            let shape = tensor.shape().to_vec();
            if tensor.dtype() != DType::F32 {
                return Err(WeightsProblem::NotFloats { name, shape, kind: format!("{:?}", tensor.dtype()) });
            }
            let bytes = tensor.read().map_err(|error| WeightsProblem::Unreadable(error.to_string()))?;
            let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
            self.0.insert(name.clone(), Array { name, shape, values });
        }
        Ok(())
    }

    /// A hash of all arrays, in the order of their names.
    pub(super) fn key(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for Array { name, shape, values } in self.0.values() {
            hasher.update(format!("{name} {shape:?}").as_bytes());
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        hasher.finalize()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Result<&Array, WeightsProblem> {
        self.0.get(name).ok_or_else(|| WeightsProblem::Missing { name: name.to_owned() })
    }
}

impl Array {
    pub(super) fn expect_shape(&self, expected: &[usize]) -> Result<(), WeightsProblem> {
        if self.shape == expected {
            return Ok(());
        }
        Err(WeightsProblem::Shape { name: self.name.clone(), found: self.shape.clone(), expected: expected.to_vec() })
    }
}
