//! Weights by name: how the optimizer, checkpoints and hashes reach every parameter of a model.
//!
//! A layer lists its fields once, with the macro `parameters!`; names are the paths of fields, as `encoder.layers.0.w_out`.

use crate::tensor::{Parameter, values};
use std::borrow::Cow;

/// Something that owns named weights.
pub trait Parameters {
    /// Shows every weight with its name, always in the same order. Names begin with `path`, which is empty at the root.
    fn visit<'a>(&'a self, path: &str, see: &mut dyn FnMut(&str, &'a Parameter));
    /// The same, to change them.
    fn visit_mut(&mut self, path: &str, see: &mut dyn FnMut(&str, &mut Parameter));
}

impl Parameters for Parameter {
    fn visit<'a>(&'a self, path: &str, see: &mut dyn FnMut(&str, &'a Parameter)) {
        see(path, self);
    }

    fn visit_mut(&mut self, path: &str, see: &mut dyn FnMut(&str, &mut Parameter)) {
        see(path, self);
    }
}

impl<P: Parameters> Parameters for Vec<P> {
    fn visit<'a>(&'a self, path: &str, see: &mut dyn FnMut(&str, &'a Parameter)) {
        self.iter().enumerate().for_each(|(i, part)| part.visit(&join(path, &i.to_string()), see));
    }

    fn visit_mut(&mut self, path: &str, see: &mut dyn FnMut(&str, &mut Parameter)) {
        self.iter_mut().enumerate().for_each(|(i, part)| part.visit_mut(&join(path, &i.to_string()), see));
    }
}

/// Names weights by their content: a blake3 hash over names and little-endian values, in visiting order.
pub fn weights_hash(model: &impl Parameters) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    model.visit("", &mut |name, weight| {
        hasher.update(name.as_bytes());
        hasher.update(&to_bytes(values(weight)));
    });
    hasher.finalize()
}

/// Numbers as files and hashes hold them, little-endian; where memory holds them so too, they are not copied.
pub(crate) fn to_bytes(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return bytemuck::cast_slice(values).into();
    }
    values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>().into()
}

/// `path.field`, or `field` at the root.
pub(crate) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Implements [`Parameters`] for a struct from the names of its fields that hold weights.
macro_rules! parameters {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::parameters::Parameters for $type {
            fn visit<'a>(&'a self, path: &str, see: &mut dyn FnMut(&str, &'a $crate::tensor::Parameter)) {
                $(self.$field.visit(&$crate::parameters::join(path, stringify!($field)), see);)+
            }

            fn visit_mut(&mut self, path: &str, see: &mut dyn FnMut(&str, &mut $crate::tensor::Parameter)) {
                $(self.$field.visit_mut(&$crate::parameters::join(path, stringify!($field)), see);)+
            }
        }
    };
}
pub(crate) use parameters;
