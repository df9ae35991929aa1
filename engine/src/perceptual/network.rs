//! The networks whose features are compared: convolutions, rectifiers and pools in five stages.

use super::conv::{Conv, ConvShape};
use super::map::FeatureMap;
use super::max_pool::MaxPool;
use super::separable::{self, Axis};
use super::weights::{Arrays, WeightsProblem};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which perceptual distance a set of weights belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// LPIPS on VGG16 (Zhang et al. 2018): torchvision's weights and the linear heads' file.
    LpipsVgg,
    /// ST-LPIPS on an AlexNet with blur-pools (Ghildyal & Liu 2022).
    StLpipsAlex,
    /// ST-LPIPS on a VGG16 with blur-pools (Ghildyal & Liu 2022).
    StLpipsVgg,
}

/// One step of a network.
#[derive(Clone, Debug)]
enum Step {
    Conv(Conv),
    /// Rectifies in place what the step before it made.
    Rectify,
    MaxPool(MaxPool),
    Blur,
}

/// A step as the architecture names it, without numbers.
enum Plan {
    /// (name of the weights, side, padding).
    Conv(String, usize, usize),
    Rectify,
    MaxPool(MaxPool),
    Blur,
}

/// A network's stages; the result of each is a feature.
#[derive(Clone, Debug)]
pub(super) struct Stages(Vec<Vec<Step>>);

/// What a forward pass keeps for the backward pass, step by step.
#[derive(Default)]
pub(super) struct Record(Vec<Kept>);

/// What a step's gradient needs.
enum Kept {
    /// Height and width of what it read: a linear step.
    Size(usize, usize),
    /// What a pool read, or a rectifier made.
    Map(Arc<FeatureMap>),
}

impl Architecture {
    /// The one whose names these arrays have.
    pub(super) fn of(arrays: &Arrays) -> Option<Self> {
        let has = |name: &str| arrays.contains(name);
        match (has("net.slice2.5.weight"), has("net.slice2.6.weight"), has("features.28.weight")) {
            (true, ..) => Some(Self::StLpipsAlex),
            (_, true, _) => Some(Self::StLpipsVgg),
            (.., true) => Some(Self::LpipsVgg),
            _ => None,
        }
    }

    fn plan(self) -> Vec<Vec<Plan>> {
        match self {
            Self::StLpipsAlex => {
                let conv = |name: &str, side, padding| Plan::Conv(format!("net.{name}"), side, padding);
                let pool = || [Plan::MaxPool(MaxPool { side: 3, stride: 1 }), Plan::Blur];
                let [pool2, blur2] = pool();
                let [pool3, blur3] = pool();
                vec![
                    vec![conv("slice1.0", 11, 2), Plan::Blur, Plan::Rectify],
                    vec![pool2, blur2, conv("slice2.5", 5, 2), Plan::Rectify],
                    vec![pool3, blur3, conv("slice3.9", 3, 1), Plan::Rectify],
                    vec![conv("slice4.11", 3, 1), Plan::Rectify],
                    vec![conv("slice5.13", 3, 1), Plan::Rectify],
                ]
            }
            Self::LpipsVgg => vgg16(false),
            Self::StLpipsVgg => vgg16(true),
        }
    }
}

/// VGG16's five stages of convolutions (Simonyan & Zisserman 2015, configuration D), a pool before each but the first.
fn vgg16(shift_tolerant: bool) -> Vec<Vec<Plan>> {
    // Steps are counted through all stages, as torchvision does: names hold their number.
    let mut number = 0;
    let stage = |(index, convolutions): (usize, usize)| {
        let mut stage = Vec::new();
        if index > 0 {
            if shift_tolerant {
                stage.extend([Plan::MaxPool(MaxPool { side: 2, stride: 1 }), Plan::Blur]);
            } else {
                stage.push(Plan::MaxPool(MaxPool { side: 2, stride: 2 }));
            }
            number += stage.len();
        }
        for _ in 0..convolutions {
            let name = match shift_tolerant {
                true => format!("net.slice{}.{number}", index + 1),
                false => format!("features.{number}"),
            };
            stage.extend([Plan::Conv(name, 3, 1), Plan::Rectify]);
            number += 2;
        }
        stage
    };
    [2, 2, 3, 3, 3].into_iter().enumerate().map(stage).collect()
}

impl Stages {
    /// Puts the arrays into the architecture's places; channels are what the arrays say.
    pub(super) fn new(architecture: Architecture, arrays: &Arrays) -> Result<Self, WeightsProblem> {
        let mut channels = crate::patch::CHANNELS;
        let mut step = |plan| match plan {
            Plan::Conv(name, side, padding) => {
                let (weight, bias) = (arrays.get(&format!("{name}.weight"))?, arrays.get(&format!("{name}.bias"))?);
                let output = bias.values.len();
                weight.expect_shape(&[output, channels, side, side])?;
                let shape = ConvShape { input: channels, output, side, stride: 1, padding };
                channels = output;
                Ok(Step::Conv(Conv::new(shape, &weight.values, bias.values.clone())))
            }
            Plan::Rectify => Ok(Step::Rectify),
            Plan::MaxPool(pool) => Ok(Step::MaxPool(pool)),
            Plan::Blur => Ok(Step::Blur),
        };
        let stages = architecture.plan().into_iter().map(|stage| stage.into_iter().map(&mut step).collect());
        stages.collect::<Result<_, _>>().map(Self)
    }

    /// Channels of each feature.
    pub(super) fn feature_channels(&self) -> Vec<usize> {
        let of_stage = |stage: &Vec<Step>| {
            stage.iter().rev().find_map(|step| match step {
                Step::Conv(conv) => Some(conv.channels()),
                _ => None,
            })
        };
        self.0.iter().filter_map(of_stage).collect()
    }

    /// Pixels of the shortest side of a picture that every step can take.
    pub(super) fn smallest_side(&self) -> usize {
        (1..).find(|side| self.takes(*side)).expect("a large enough picture has a neighbourhood everywhere")
    }

    fn takes(&self, mut side: usize) -> bool {
        for step in self.0.iter().flatten() {
            side = match step {
                Step::Conv(conv) if conv.takes(side) => conv.output(side),
                Step::MaxPool(pool) if side >= pool.side => pool.output(side),
                Step::Blur if side > separable::BLUR_MIRROR => separable::blurred(side),
                Step::Rectify => side,
                _ => return false,
            };
        }
        true
    }

    /// The features of a picture, one a stage.
    pub(super) fn features(&self, picture: FeatureMap) -> Vec<Arc<FeatureMap>> {
        self.forward(picture, |_| {})
    }

    /// The features of a picture, and what [`backward`](Self::backward) needs.
    pub(super) fn recorded(&self, picture: FeatureMap) -> (Vec<Arc<FeatureMap>>, Record) {
        let mut record = Record::default();
        let features = self.forward(picture, |kept| record.0.push(kept));
        (features, record)
    }

    fn forward(&self, picture: FeatureMap, mut keep: impl FnMut(Kept)) -> Vec<Arc<FeatureMap>> {
        let mut x = Arc::new(picture);
        let stage = |stage: &Vec<Step>| {
            for step in stage {
                let size = Kept::Size(x.height, x.width);
                x = match step {
                    Step::Conv(conv) => {
                        keep(size);
                        Arc::new(conv.forward(&x))
                    }
                    Step::Blur => {
                        keep(size);
                        Arc::new(separable::apply(&x, &Axis::blur(x.height), &Axis::blur(x.width)))
                    }
                    Step::MaxPool(pool) => {
                        keep(Kept::Map(x.clone()));
                        Arc::new(pool.forward(&x))
                    }
                    Step::Rectify => {
                        // Nobody else holds what a linear step just made: rectified where it lies.
                        let mut made = std::mem::take(&mut x);
                        Arc::make_mut(&mut made).rectify();
                        keep(Kept::Map(made.clone()));
                        made
                    }
                };
            }
            x.clone()
        };
        self.0.iter().map(stage).collect()
    }

    /// The gradient of the picture, from those of its features.
    pub(super) fn backward(&self, record: Record, gradients: Vec<FeatureMap>) -> FeatureMap {
        let mut kept = record.0.into_iter().rev();
        let mut stages = self.0.iter().zip(gradients).rev();
        let (last, mut dx) = stages.next().expect("a network has stages");
        let mut through = |stage: &[Step], mut dx: FeatureMap| {
            for step in stage.iter().rev() {
                let kept = kept.next().expect("every step was recorded");
                dx = match (step, kept) {
                    (Step::Conv(conv), Kept::Size(height, width)) => conv.backward(&dx, height, width),
                    (Step::Blur, Kept::Size(height, width)) => {
                        separable::apply(&dx, &Axis::blur(height).transposed(), &Axis::blur(width).transposed())
                    }
                    (Step::MaxPool(pool), Kept::Map(read)) => pool.backward(&read, &dx),
                    (Step::Rectify, Kept::Map(made)) => {
                        dx.rectify_gradient(&made);
                        dx
                    }
                    _ => unreachable!("the record is of another network"),
                };
            }
            dx
        };
        dx = through(last, dx);
        for (stage, of_feature) in stages {
            dx.add(&of_feature);
            dx = through(stage, dx);
        }
        dx
    }
}
