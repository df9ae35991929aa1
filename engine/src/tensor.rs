//! dfdx's tensors as this engine uses them, and how a fused operation reaches their numbers.
//!
//! dfdx gives us tensors, the tape and the gradients; our operations (`ops`) compute on plain slices and register
//! their own backward pass. A gradient is always *added to*, so that a tensor may be used any number of times.

use dfdx::tensor::{AsArray as _, Cpu, Gradients, NoneTape, OwnedTape, Tensor, TensorFromVec as _};

/// Activations: (n, width), one row a token.
pub type Tokens<T = NoneTape> = Tensor<(usize, usize), f32, Cpu, T>;
/// A weight: (in, out) for a linear map, (1, width) for a norm or an embedding.
pub type Parameter = Tensor<(usize, usize), f32, Cpu>;
/// A loss.
pub type Scalar<T = NoneTape> = Tensor<(), f32, Cpu, T>;
/// Records what happens to a tensor, and carries gradients.
pub type Tape = OwnedTape<f32, Cpu>;
/// Gradients by tensor.
pub type Grads = Gradients<f32, Cpu>;
/// What registering and running backward passes may fail with (running out of memory).
pub(crate) type TapeError = dfdx::tensor::CpuError;

/// Wraps row-major `values` as (rows, width).
///
/// # Panics
/// If they are not rows · width values.
pub fn tokens(values: Vec<f32>, rows: usize, width: usize) -> Tokens {
    assert_eq!(values.len(), rows * width, "{rows} rows of {width}");
    Cpu::default().tensor_from_vec(values, (rows, width))
}

pub(crate) fn scalar(value: f32) -> Scalar {
    Cpu::default().tensor_from_vec(vec![value], ())
}

/// The number a scalar holds.
pub fn value<T>(x: &Scalar<T>) -> f32 {
    x.array()
}

/// All numbers of `x`, row by row.
///
/// # Panics
/// If `x` is a view that is not contiguous; what this crate makes is.
#[allow(unsafe_code)]
pub fn values<T>(x: &Tokens<T>) -> &[f32] {
    let (rows, width) = *dfdx::shapes::HasShape::shape(x);
    if rows * width == 0 {
        return &[];
    }
    let first = &raw const x[[0, 0]];
    let last = &raw const x[[rows - 1, width - 1]];
    assert_eq!(
        last.addr() - first.addr(),
        (rows * width - 1) * size_of::<f32>(),
        "only contiguous tensors have values"
    );
    // SAFETY: a dfdx tensor's elements lie in one `Vec` of exactly rows × width elements (this module is the only
    // place that makes ours, always row-major); first and last are that far apart; the borrow of `x` keeps it alive.
    unsafe { std::slice::from_raw_parts(first, rows * width) }
}

/// All numbers of a weight, to be changed in place.
///
/// dfdx copies the numbers first if a clone of the tensor (one held by a tape, say) is still alive.
///
/// # Panics
/// As [`values`].
#[allow(unsafe_code)]
pub fn values_mut(x: &mut Parameter) -> &mut [f32] {
    let length = values(x).len();
    if length == 0 {
        return &mut [];
    }
    let first = &raw mut x[[0, 0]];
    // SAFETY: as in `values`, which checked contiguity above; `IndexMut` made the storage unique to `x`, and the
    // mutable borrow of `x` keeps it so.
    unsafe { std::slice::from_raw_parts_mut(first, length) }
}

/// Rows and width of `x`.
pub(crate) fn shape<T>(x: &Tokens<T>) -> (usize, usize) {
    *dfdx::shapes::HasShape::shape(x)
}

/// Moves out the finished gradient of an operation's own result: nothing needs it after that operation's backward pass.
///
/// What is left is an empty vector, which dfdx would take for the gradient: only the operation itself may do this.
pub(crate) fn take(gradient: &mut Vec<f32>) -> Vec<f32> {
    std::mem::take(gradient)
}

/// Lets `add` add to the gradients of several tensors at once, each another, which dfdx lends one at a time.
pub(crate) fn add_to<const N: usize>(
    grads: &mut Grads,
    tensors: [&Tokens; N],
    add: impl FnOnce([&mut [f32]; N]),
) -> Result<(), TapeError> {
    let mut gradients = Vec::with_capacity(N);
    for tensor in tensors {
        let gradient = take(grads.get_or_alloc_mut(tensor)?);
        assert_eq!(
            gradient.len(),
            values(tensor).len(),
            "a tensor that is there twice has nothing left the second time"
        );
        gradients.push(gradient);
    }
    let mut each = gradients.iter_mut();
    add(std::array::from_fn(|_| &mut each.next().expect("one of each tensor")[..]));
    for (tensor, gradient) in tensors.into_iter().zip(gradients) {
        **grads.get_or_alloc_mut(tensor)? = gradient;
    }
    Ok(())
}
