//! Element-wise loops compiled for the vector instructions this CPU turns out to have.

/// Whether this CPU has AVX2 and fused multiply-adds.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Compiles a function for AVX-512, for AVX2 and for the baseline, and picks one at each call.
///
/// The body is ordinary Rust that LLVM vectorises; what it calls must be `#[inline(always)]` to be compiled along.
/// A call costs a few nanoseconds more than a plain one: write kernels over many rows, not over one.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident ( $($arg:ident : $type:ty),* $(,)? ) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code)]
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                if $crate::kernel::simd::has_avx2() {
                    if is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512dq")
                    {
                        // SAFETY: this CPU was just seen to have every feature that `avx512` is compiled for.
                        return unsafe { avx512($($arg),*) };
                    }
                    // SAFETY: this CPU was just seen to have every feature that `avx2` is compiled for.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use vectorized;
