//! Many comparisons, one error rate.
//!
//! Twenty comparisons without a difference raise one false alarm at 5 %, on average. Holm («A simple sequentially
//! rejective multiple test procedure», 1979) keeps the probability of *any* false alarm at 5 %, however the
//! comparisons depend on each other, and never finds less than Bonferroni's p · m.

/// Holm's adjusted p-values, in the given order: what is below 5 % holds among all of them.
///
/// # Panics
/// If a p-value is not in [0, 1].
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut rising: Vec<usize> = (0..p_values.len()).collect();
    rising.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut so_far = 0.0_f64;
    for (smaller, &index) in rising.iter().enumerate() {
        let p_value = p_values[index];
        assert!((0.0..=1.0).contains(&p_value), "{p_value} is no p-value");
        so_far = so_far.max((p_values.len() - smaller) as f64 * p_value).min(1.0);
        adjusted[index] = so_far;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few distinct values, so that ties are common.
    fn any_p_values(most: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((0_u8..=50).prop_map(|step| f64::from(step) / 50.0), 0..=most)
    }

    #[test]
    fn four_by_hand() {
        // Rising: 0.0625 · 4 = 0.25; 0.125 · 3 = 0.375; 0.25 · 2 = 0.5; 0.375 · 1 is raised to 0.5.
        assert_eq!(holm(&[0.125, 0.375, 0.25, 0.0625]), [0.375, 0.5, 0.5, 0.25]);
        assert_eq!((holm(&[0.03]), holm(&[])), (vec![0.03], vec![]));
    }

    #[test]
    #[should_panic(expected = "1.5 is no p-value")]
    fn what_is_no_p_value_is_refused() {
        holm(&[0.5, 1.5]);
    }

    proptest! {
        #[test]
        fn it_is_the_closed_test_of_bonferroni(p_values in any_p_values(7)) {
            // Marcus, Peritz & Gabriel (1976): a hypothesis falls if every set of hypotheses that holds it falls.
            let closed = |index: usize| {
                (0_u32..1 << p_values.len())
                    .filter(|set| set >> index & 1 == 1)
                    .map(|set| {
                        let members = (0..p_values.len()).filter(|member| set >> member & 1 == 1);
                        let smallest = members.map(|member| p_values[member]).fold(1.0, f64::min);
                        (f64::from(set.count_ones()) * smallest).min(1.0)
                    })
                    .fold(0.0, f64::max)
            };
            prop_assert_eq!(holm(&p_values), (0..p_values.len()).map(closed).collect::<Vec<_>>());
        }

        #[test]
        fn between_the_raw_value_and_bonferroni_which_it_equals_for_the_smallest(p_values in any_p_values(40)) {
            let smallest = p_values.iter().copied().fold(1.0, f64::min);
            for (&raw, &adjusted) in p_values.iter().zip(&holm(&p_values)) {
                let bonferroni = (raw * p_values.len() as f64).min(1.0);
                prop_assert!(raw <= adjusted && adjusted <= bonferroni);
                prop_assert!(raw > smallest || adjusted == bonferroni);
            }
        }

        #[test]
        fn it_keeps_their_order(p_values in any_p_values(40)) {
            let adjusted = holm(&p_values);
            for left in 0..p_values.len() {
                for right in 0..p_values.len() {
                    prop_assert!(p_values[left] > p_values[right] || adjusted[left] <= adjusted[right]);
                }
            }
        }
    }
}
