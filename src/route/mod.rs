//! From the name that a caller asks for to the endpoint that answers.

mod choice;
mod plan;
mod router;
mod rules;
mod table;

pub use router::{Asked, Router};
pub use rules::{Hedge, Retry, Rules};
pub use table::{Alias, Lead, Table, Tables, Target};
