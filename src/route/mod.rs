//! From the name that a caller asks for to the endpoint that answers.

mod choice;
mod router;
mod table;

pub use router::{Asked, Router, Rules};
pub use table::{Table, Tables, Target};
