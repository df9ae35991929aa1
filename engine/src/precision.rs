//! How exactly the layers multiply.

use serde::{Deserialize, Serialize};

/// The arithmetic of a layer's matrix products, linear maps and attention. Weights, activations, sums and everything else
/// are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors are rounded to bfloat16, the eight leading bits of f32's mantissa, when they are multiplied; products are
    /// summed in f32. Up to twice as fast where the CPU multiplies bfloat16 (AVX512-BF16) well, slower elsewhere.
    Bf16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    /// What it is called: `f32`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The precision of this name; none if there is no such.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|precision| precision.name() == name)
    }

    pub(crate) fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}
