//! `plan`: what training on a long sequence will cost, before machines are rented for it.

use crate::cli::{Cli, DeviceKind, Plan as Asked};
use crate::console::{bytes, counted, print};
use crate::run::use_threads;
use crate::shape;
use anyhow::Result;
use engine::plan::{Device, Pass, Plan, RingStep, Task};
use std::fmt::Write as _;

/// Ten-gigabit Ethernet: what machines without anything better have.
const ETHERNET: f64 = 1.25e9;

pub(crate) fn plan(cli: &Cli, asked: &Asked) -> Result<()> {
    let (model, name) = shape::read(&asked.shape)?;
    let task = Task::new(model, asked.batch, asked.tokens, asked.workers)?;
    let task = Task { recompute: asked.recompute, ..task };
    let given = |gigabytes: Option<f64>| gigabytes.map(|gigabytes| gigabytes * 1e9);
    let device = match asked.device {
        DeviceKind::H100 => {
            let device = Device::H100;
            let memory = given(asked.memory).or(device.memory);
            Device { link: given(asked.link).unwrap_or(device.link), memory, ..device }
        }
        DeviceKind::Cpu => {
            use_threads(cli)?;
            Device::measured(&task.model, given(asked.link).unwrap_or(ETHERNET), given(asked.memory))?
        }
    };
    print(&text(&name, &Plan::new(task, device))?)
}

fn text(name: &str, plan: &Plan) -> Result<String> {
    let Plan { task, device, forward, backward, memory, .. } = plan;
    let (workers, tokens) = (task.workers as f64, task.tokens());
    let mut text = format!(
        "{name}, {} weights: {} of {} tokens ({} blocks of {}) for {}{}\n{}: linear maps {}, attention {}, its gradient {}, \
         memory {}/s, link {}/s\n{:width$}  ({})\n\n",
        task.model.parameter_count(),
        counted(task.sequences, "sequence"),
        tokens / task.sequences,
        task.blocks,
        task.model.block.tokens(),
        counted(task.workers, "worker"),
        if task.recompute { ", recomputing" } else { "" },
        device.name,
        rate(device.linear_flops),
        rate(device.attention_flops),
        rate(device.attention_backward_flops),
        bytes(device.memory_bandwidth as u64),
        bytes(device.link as u64),
        "",
        device.source,
        width = device.name.len(),
    );
    writeln!(text, "| one training step          |    forward |   backward |")?;
    writeln!(text, "|----------------------------|-----------:|-----------:|")?;
    let mut row = |what: &str, of: &dyn Fn(&Pass) -> String| {
        writeln!(text, "| {what:<26} | {:>10} | {:>10} |", of(forward), of(backward))
    };
    row("arithmetic, all workers", &|pass| operations(pass.flops))?;
    row("arithmetic, a worker", &|pass| operations(pass.flops / workers))?;
    row("linear maps", &|pass| seconds(pass.linear))?;
    row("norms, residuals, heads", &|pass| seconds(pass.rows))?;
    row("attention", &|pass| seconds(pass.attention))?;
    row("  of it waiting for others", &|pass| seconds(pass.waiting))?;
    row("time", &|pass| seconds(pass.seconds()))?;
    if task.workers > 1 {
        let largest = |steps: &[RingStep], of: fn(&RingStep) -> f64| steps.iter().map(of).fold(0.0, f64::max);
        writeln!(text, "\n| largest step of the ring   |    forward |   backward |")?;
        writeln!(text, "|----------------------------|-----------:|-----------:|")?;
        let mut row = |what: &str, of: fn(&RingStep) -> f64, told: fn(f64) -> String| {
            let [forward, backward] = [&plan.forward_steps, &steps_back(plan)].map(|steps| told(largest(steps, of)));
            writeln!(text, "| {what:<26} | {forward:>10} | {backward:>10} |")
        };
        row("sent by a worker", |step| step.bytes, |sent| bytes(sent as u64))?;
        row("sending", |step| step.sending, seconds)?;
        row("computing", |step| step.computing, seconds)?;
        writeln!(text, "\n{}", hidden(plan))?;
    }
    let limit = device.memory.map_or(String::new(), |limit| match memory.all() <= limit {
        true => format!(" of {}", bytes(limit as u64)),
        false if task.recompute => format!(", MORE THAN ITS {}: take more workers", bytes(limit as u64)),
        false => format!(", MORE THAN ITS {}: take more workers, or --recompute", bytes(limit as u64)),
    });
    writeln!(
        text,
        "\nmemory of a worker   {}{limit}: weights and optimizer {}, activations {}, a layer under way {}",
        bytes(memory.all() as u64),
        bytes(memory.weights as u64),
        bytes(memory.activations as u64),
        bytes(memory.passing as u64),
    )?;
    let whole = plan.seconds();
    writeln!(text, "a training step      {}, {:.0} tokens/s", seconds(whole), tokens as f64 / whole)?;
    Ok(text)
}

/// Steps of the ring in a layer's backward pass, with those that recomputing makes again.
fn steps_back(plan: &Plan) -> Vec<RingStep> {
    let again = if plan.task.recompute { &plan.forward_steps[..] } else { &[] };
    [again, &plan.backward_steps].concat()
}

/// Whether what is sent hides behind what is computed.
fn hidden(plan: &Plan) -> String {
    let waits = |steps: &[RingStep]| steps.iter().filter(|step| step.sending > step.computing).count();
    let back = steps_back(plan);
    let (forward, backward) = (waits(&plan.forward_steps), waits(&back));
    let waiting = plan.forward.waiting + plan.backward.waiting;
    let ring = match forward + backward {
        0 => "Communication hides behind computation in every step of the ring".to_owned(),
        _ => format!(
            "Communication does not hide: in {forward} of {} steps forward and {backward} of {} backward workers wait, \
             {:.0} % of the training step",
            plan.forward_steps.len(),
            back.len(),
            100.0 * waiting / plan.seconds()
        ),
    };
    let gradients = bytes(plan.gradient_bytes as u64);
    match plan.waiting_for_gradients() {
        0.0 => format!("{ring}; so do {gradients} of gradients."),
        late => format!("{ring}; {gradients} of gradients are {} late.", seconds(late)),
    }
}

fn rate(flops: f64) -> String {
    format!("{}/s", operations(flops))
}

fn operations(flops: f64) -> String {
    let (scaled, prefix) = match flops {
        flops if flops < 1e12 => (flops / 1e9, "G"),
        flops if flops < 1e15 => (flops / 1e12, "T"),
        flops if flops < 1e18 => (flops / 1e15, "P"),
        flops => (flops / 1e18, "E"),
    };
    format!("{} {prefix}FLOP", three_digits(scaled))
}

fn seconds(seconds: f64) -> String {
    match seconds {
        0.0 => "0 s".to_owned(),
        seconds if seconds < 1e-3 => format!("{} µs", three_digits(1e6 * seconds)),
        seconds if seconds < 1.0 => format!("{} ms", three_digits(1e3 * seconds)),
        seconds if seconds < 6e3 => format!("{} s", three_digits(seconds)),
        seconds => format!("{} h", three_digits(seconds / 3600.0)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let times = [0.0, 1.234e-6, 0.0999, 0.9996, 59.96, 7200.0].map(seconds);
        assert_eq!(times, ["0 s", "1.23 µs", "99.9 ms", "1000 ms", "60.0 s", "2.00 h"]);
        assert_eq!([1.5e9, 989e12, 2.54e18].map(operations), ["1.50 GFLOP", "989 TFLOP", "2.54 EFLOP"]);
    }
}
