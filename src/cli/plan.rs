//! What can be typed of `plan`.

use super::Shape;
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Tokens of a sequence; K stands for 1024, M for 1024 K.
    #[arg(long, value_name = "N", value_parser = binary_number)]
    pub(crate) tokens: usize,
    /// Sequences of a batch.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) batch: usize,
    /// Workers that share each sequence.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// Layers keep their inputs alone and make the rest again, as `train.recompute` has it.
    #[arg(long)]
    pub(crate) recompute: bool,
    /// What a worker is.
    #[arg(long, value_enum, default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// What a worker sends in a second [default: 1.25 from a cpu, 10 Gb/s; 40 from an h100, 80 % of 400 Gb/s].
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    pub(crate) link: Option<f64>,
    /// Memory of a worker [default: 80 for an h100].
    #[arg(long, value_name = "GB", value_parser = positive)]
    pub(crate) memory: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeviceKind {
    /// This machine, with the threads of --threads, measured when the plan is made.
    Cpu,
    /// NVIDIA's H100 SXM by its data sheet, in bf16.
    H100,
}

/// «64K», «1M», or all digits.
fn binary_number(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((end, 'K' | 'k')) => (&text[..end], 10),
        Some((end, 'M' | 'm')) => (&text[..end], 20),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| "write a whole number, as 65536, 64K or 1M".to_owned())?;
    number.checked_mul(1 << shift).filter(|tokens| *tokens <= 1 << 40).ok_or_else(|| "is too large".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "write a number above 0".to_owned())
}
