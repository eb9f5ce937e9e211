//! End-to-end tests: real SDK calls over HTTP to the embedded services, real agents over HTTP.

mod history;
