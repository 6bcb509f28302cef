//! What reads the cases of `tests/transcripts/`. It knows the public interface of protocols and framers, and nothing
//! of how they do it.

pub(crate) mod case;
pub(crate) mod kinds;
pub(crate) mod play;
pub(crate) mod summary;

use rand::{Rng, SeedableRng};

/// Sizes of the pieces in which a stream is fed; the same for the same seed.
pub(crate) fn random_sizes(seed: u64) -> Vec<usize> {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let longest = [3, 17, 90, 700][usize::try_from(seed % 4).unwrap()];
    (0..40).map(|_| random.random_range(1..=longest)).collect()
}
