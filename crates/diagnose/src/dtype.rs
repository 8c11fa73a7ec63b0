//! The number types in which kernels compute and store.

use half::{bf16, f16};
use std::fmt;
use std::str::FromStr;

/// A floating-point type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision: eleven bits, and a narrow range.
    F16,
    /// The upper half of an `f32`: eight bits, and its whole range.
    Bf16,
}

impl Dtype {
    /// All of them, from the finest.
    pub const ALL: [Self; 4] = [Self::F64, Self::F32, Self::F16, Self::Bf16];

    /// What it is called in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// The largest relative error of rounding to the nearest, outside of the subnormals.
    pub fn roundoff(self) -> f64 {
        match self {
            Self::F64 => 0.5_f64.powi(53),
            Self::F32 => 0.5_f64.powi(24),
            Self::F16 => 0.5_f64.powi(11),
            Self::Bf16 => 0.5_f64.powi(8),
        }
    }

    /// The largest absolute error of rounding a number near zero: half of the smallest
    /// subnormal. Only in `f16` does a gradient come near it.
    pub fn underflow(self) -> f64 {
        match self {
            Self::F64 => 0.0,
            Self::F32 => 0.5_f64.powi(150),
            Self::F16 => 0.5_f64.powi(25),
            Self::Bf16 => 0.5_f64.powi(134),
        }
    }

    /// The nearest number that the type has.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::F64 => value,
            Self::F32 => f64::from(value as f32),
            Self::F16 => f16::from_f64(value).to_f64(),
            Self::Bf16 => bf16::from_f64(value).to_f64(),
        }
    }

    /// The type in which a kernel should add up what it stores in this one.
    pub fn accumulator(self) -> Self {
        match self {
            Self::F64 => Self::F64,
            _ => Self::F32,
        }
    }

    /// The coarser of two types.
    pub fn coarser(self, other: Self) -> Self {
        if other.roundoff() > self.roundoff() {
            other
        } else {
            self
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f64" | "float64" | "double" => Ok(Self::F64),
            "f32" | "float32" | "float" => Ok(Self::F32),
            "f16" | "float16" | "half" => Ok(Self::F16),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            _ => Err(format!("`{text}` is none of f64, f32, f16 and bf16")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_off_by_the_roundoff_at_most_and_by_no_less() {
        for dtype in Dtype::ALL {
            let u = dtype.roundoff();
            // The middle between 1 and its neighbour, and a little less than that.
            assert_eq!(dtype.round(1.0 + u), 1.0, "{dtype}");
            assert_eq!(dtype.round(1.0 + 2.0 * u), 1.0 + 2.0 * u, "{dtype}");
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let half = dtype.underflow();
            assert_eq!(dtype.round(0.9 * half), 0.0, "{dtype}");
            assert_eq!(dtype.round(2.0 * half), 2.0 * half, "{dtype}");
        }
    }

    #[test]
    fn what_numpy_and_torch_call_them_is_understood_and_nothing_else() {
        assert_eq!("bfloat16".parse(), Ok(Dtype::Bf16));
        assert_eq!("float32".parse(), Ok(Dtype::F32));
        assert!("f8".parse::<Dtype>().is_err());
    }
}
