//! Work that is done several times over, so that what is done once in it does not count.

use std::hint::black_box;

use crate::Failure;

/// How often a round does what is counted.
pub(crate) const TIMES: usize = 100;

/// Work, and over how many times its count is to be shared.
pub(crate) struct Round {
    times: usize,
    work: Box<dyn FnMut() -> Result<(), Failure>>,
}

impl Round {
    /// `work` does it `times` times.
    pub(crate) fn of(times: usize, work: impl FnMut() -> Result<(), Failure> + 'static) -> Self {
        Self { times, work: Box::new(work) }
    }

    /// Does `work` to one of `things` after the other; there are enough for two rounds, made ready before anything is counted.
    pub(crate) fn each<T: 'static, R>(
        mut things: Vec<T>,
        mut work: impl FnMut(T) -> Result<R, Failure> + 'static,
    ) -> Self {
        Self::of(TIMES, move || {
            for _ in 0..TIMES {
                let thing = things.pop().ok_or("there are no things left to work on")?;
                black_box(work(thing)?);
            }
            Ok(())
        })
    }

    /// Does it once.
    pub(crate) fn work(&mut self) -> Result<(), Failure> {
        (self.work)()
    }

    /// How often it does what is counted.
    pub(crate) const fn times(&self) -> usize {
        self.times
    }
}

/// As many of them as two rounds take.
pub(crate) fn enough<T>(mut make: impl FnMut() -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    (0..2 * TIMES).map(|_| make()).collect()
}
