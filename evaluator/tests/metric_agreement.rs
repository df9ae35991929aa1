//! Our metrics against scikit-image 0.26 and pytorch-msssim 1.0 on photographs; `fixtures/metrics/make.py` and
//! `make_ms_ssim.py` wrote the expected numbers.
use std::{fs::File, io::BufReader, path::Path};

use evaluator::metric::{Pictures, ms_ssim, mse, psnr, ssim};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected<P> {
    pairs: Vec<P>,
}

#[derive(Deserialize)]
struct Pair {
    original: String,
    distorted: String,
    mse: f64,
    psnr: f64,
    ssim: f64,
}

#[derive(Deserialize)]
struct LargePair {
    original: String,
    distorted: String,
    ms_ssim: f64,
}

struct Picture {
    shape: [usize; 4],
    samples: Vec<u8>,
}

impl Picture {
    fn read(name: &str) -> Self {
        let file = BufReader::new(open(name));
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut samples).unwrap();
        samples.truncate(info.buffer_size());
        let shape = [1, info.height as usize, info.width as usize, info.color_type.samples()];
        Self { shape, samples }
    }

    fn pictures(&self) -> Pictures<'_> {
        Pictures::new(self.shape, &self.samples).unwrap()
    }

    fn signed(&self) -> Vec<f32> {
        self.samples.iter().map(|&sample| f32::from(sample) / 127.5 - 1.0).collect()
    }
}

fn open(name: &str) -> File {
    File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/metrics").join(name)).unwrap()
}

#[test]
fn metrics_agree_with_scikit_image_on_photographs() {
    let expected: Expected<Pair> = serde_json::from_reader(open("expected.json")).unwrap();
    assert_eq!(expected.pairs.len(), 6);
    for pair in expected.pairs {
        let (original, distorted) = (Picture::read(&pair.original), Picture::read(&pair.distorted));
        let ssim = ssim(original.pictures(), distorted.pictures()).unwrap();
        let psnr = psnr(original.pictures(), distorted.pictures()).unwrap();
        let mse = mse(&original.signed(), &distorted.signed());
        println!(
            "{}: ssim {:.1e} psnr {:.1e} dB mse {:.1e} (relative)",
            pair.distorted,
            (ssim - pair.ssim).abs(),
            (psnr - pair.psnr).abs(),
            (mse / pair.mse - 1.0).abs()
        );
        assert!((ssim - pair.ssim).abs() < 1e-9, "{}: SSIM {ssim} against {}", pair.distorted, pair.ssim);
        assert!((psnr - pair.psnr).abs() < 1e-9, "{}: PSNR {psnr} against {}", pair.distorted, pair.psnr);
        assert!((mse / pair.mse - 1.0).abs() < 1e-5, "{}: MSE {mse} against {}", pair.distorted, pair.mse);
    }
}

#[test]
fn multi_scale_ssim_agrees_with_pytorch_msssim_on_photographs() {
    let expected: Expected<LargePair> = serde_json::from_reader(open("ms_ssim.json")).unwrap();
    assert_eq!(expected.pairs.len(), 3);
    for pair in expected.pairs {
        let (original, distorted) = (Picture::read(&pair.original), Picture::read(&pair.distorted));
        let value = ms_ssim(original.pictures(), distorted.pictures()).unwrap();
        println!("{}: ms_ssim {:.1e}", pair.distorted, (value - pair.ms_ssim).abs());
        assert!((value - pair.ms_ssim).abs() < 1e-9, "{}: {value} against {}", pair.distorted, pair.ms_ssim);
    }
}

#[test]
fn a_grey_picture_repeated_in_three_channels_has_the_same_numbers() {
    let [original, distorted] = ["coffee.png", "coffee_noise.png"].map(Picture::read);
    let [colour, distorted_colour] = [&original, &distorted].map(|picture| Picture {
        shape: [1, picture.shape[1], picture.shape[2], 3],
        samples: picture.samples.iter().flat_map(|&sample| [sample; 3]).collect(),
    });
    let grey = ssim(original.pictures(), distorted.pictures()).unwrap();
    let in_colour = ssim(colour.pictures(), distorted_colour.pictures()).unwrap();
    assert!((grey - in_colour).abs() < 1e-12);
    assert_eq!(psnr(original.pictures(), distorted.pictures()), psnr(colour.pictures(), distorted_colour.pictures()));
}
