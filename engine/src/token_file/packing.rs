//! Numbers of codes in as few whole bits as all of them need.

use crate::bottleneck::Bottleneck;

/// Bits of a code's number: ⌈log₂ codebook⌉, 16 for the released 64 000 codes. None for a VAE.
pub fn bits_per_code(bottleneck: &Bottleneck) -> Option<u32> {
    bottleneck.codebook_size().map(|size| u64::BITS - (size - 1).leading_zeros())
}

/// Bits of a token: a code's number, or `dim` f32.
pub(super) fn bits_per_token(bottleneck: &Bottleneck) -> u64 {
    bits_per_code(bottleneck).map_or(32 * bottleneck.output_width() as u64, u64::from)
}

/// Each code in `bits` bits, the first in the lowest bits of the first byte; the last byte is filled with zero bits.
pub(super) fn pack(codes: &[u32], bits: u32, bytes: &mut Vec<u8>) {
    let (mut waiting, mut held) = (0_u64, 0);
    for code in codes {
        waiting |= u64::from(*code) << held;
        held += bits;
        while held >= 8 {
            bytes.push(waiting as u8);
            waiting >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        bytes.push(waiting as u8);
    }
}

/// What [`pack`] made of `count` codes: the codes, and the bits that fill the last byte.
pub(super) fn unpack(bytes: &[u8], bits: u32, count: usize) -> (Vec<u32>, u8) {
    let mut bytes = bytes.iter();
    let (mut waiting, mut held) = (0_u64, 0);
    let codes = (0..count).map(|_| {
        while held < bits {
            waiting |= u64::from(*bytes.next().expect("a block has the bytes of its codes")) << held;
            held += 8;
        }
        let code = waiting & ((1 << bits) - 1);
        waiting >>= bits;
        held -= bits;
        code as u32
    });
    (codes.collect(), waiting as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_lie_lowest_bits_first_by_hand() {
        let mut bytes = Vec::new();
        // 101, 001, 110 from the lowest bit up: 10 001 101 = 8d, then 1 = 01.
        pack(&[0b101, 0b001, 0b110], 3, &mut bytes);
        assert_eq!(bytes, [0x8d, 0x01]);
        assert_eq!(unpack(&[0x8d, 0x41], 3, 3), (vec![0b101, 0b001, 0b110], 0b10_0000));
    }

    #[test]
    fn a_code_has_the_bits_of_the_largest() {
        let bits = |levels: &[usize]| bits_per_code(&Bottleneck::Fsq { levels: levels.to_vec() });
        assert_eq!([bits(&[2]), bits(&[3]), bits(&[4]), bits(&[5])], [1, 2, 2, 3].map(Some));
        assert_eq!(bits(&[8, 8, 8, 5, 5, 5]), Some(16)); // 64 000 codes
        assert_eq!(bits(&[256, 256, 256, 128]), Some(31)); // the largest codebook
        assert_eq!(bits_per_token(&Bottleneck::Vae { dim: 8 }), 256);
    }

    proptest! {
        #[test]
        fn packing_and_unpacking_are_inverse(bits in 1_u32..=31, codes in prop::collection::vec(any::<u32>(), 0..50)) {
            let codes: Vec<u32> = codes.iter().map(|code| code & ((1 << bits) - 1)).collect();
            let mut bytes = Vec::new();
            pack(&codes, bits, &mut bytes);
            prop_assert_eq!(bytes.len(), (codes.len() * bits as usize).div_ceil(8));
            prop_assert_eq!(unpack(&bytes, bits, codes.len()), (codes, 0));
        }
    }
}
