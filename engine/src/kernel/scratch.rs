//! Room for intermediate values that an operation needs while it runs.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// What this thread gave back.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Room for numbers.
pub(crate) struct Scratch {
    values: Vec<f32>,
    length: usize,
    is_fresh: bool,
}

impl Scratch {
    /// Room for so many that the allocator gives and, where it is dropped, has back: for what outlives the operation, or is
    /// so large that others should have it afterwards. It is cleared, which takes time.
    pub(crate) fn fresh(length: usize) -> Self {
        Self { values: vec![0.0; length], length, is_fresh: true }
    }

    /// Room for so many, which hold whatever was left in them: to be written before they are read. Dropped, it is kept for the
    /// thread's next one, so that nothing is cleared or asked of the system.
    pub(crate) fn of(length: usize) -> Self {
        // The smallest that is large enough, or the largest, for which a larger one is taken.
        let found = FREE.with_borrow_mut(|free| {
            let rank = |values: &Vec<f32>| match values.len() {
                enough if enough >= length => (0, enough),
                less => (1, length - less),
            };
            let best = (0..free.len()).min_by_key(|index| rank(&free[*index]));
            best.map(|index| free.swap_remove(index))
        });
        let mut values = found.unwrap_or_default();
        if values.len() < length {
            drop(values);
            values = vec![0.0; length];
        }
        Self { values, length, is_fresh: false }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if self.is_fresh {
            return;
        }
        // Where the thread ends there is nothing to keep it in.
        let _ = FREE.try_with(|free| free.borrow_mut().push(values));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_and_never_shared() {
        let (mut a, mut b) = (Scratch::of(10), Scratch::of(20));
        a.fill(1.0);
        b.fill(2.0);
        assert!(a.len() == 10 && b.len() == 20 && a.iter().all(|x| *x == 1.0));
        let place = b.as_ptr();
        drop((a, b));
        assert_eq!(Scratch::of(16).as_ptr(), place, "the one that is large enough");
    }
}
