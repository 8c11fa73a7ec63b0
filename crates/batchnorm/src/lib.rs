//! batchnorm
