//! From the name that a caller asks for to the endpoint that answers.

mod choice;
mod counting;
mod course;
mod failures;
mod guard;
mod hedging;
mod itinerary;
mod journey;
mod plan;
mod router;
mod rules;
mod scene;
mod table;

pub use counting::Counted;
pub use hedging::Hedging;
pub use router::{Answering, Router};
pub use rules::{Hedge, Retry, Rules};
pub use scene::Asked;
pub use table::{Alias, Lead, Table, Tables, Target};
