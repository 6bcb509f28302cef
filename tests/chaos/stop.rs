//! A server that stops while its calls are in every state that a call can be in.
