//! The door: what strangers and slow peers can do to connections, and how all end.

mod attacks;
mod connections;
mod process;
mod shutdown;
mod tls;
