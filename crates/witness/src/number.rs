//! The operators of a number, from the four operations and the negative.

/// Implements the operators that [`Real`](tape::Real) asks for by the methods `plus`, `minus`,
/// `times`, `over` and `negative` of the type.
macro_rules! number {
    ($type:ty $(where $t:ident: $bound:path)?) => {
        number!(@binary $type, [$($t: $bound)?], Add add plus AddAssign add_assign);
        number!(@binary $type, [$($t: $bound)?], Sub sub minus SubAssign sub_assign);
        number!(@binary $type, [$($t: $bound)?], Mul mul times MulAssign mul_assign);
        number!(@binary $type, [$($t: $bound)?], Div div over DivAssign div_assign);

        impl<$($t: $bound)?> std::ops::Neg for $type {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                self.negative()
            }
        }

        impl<$($t: $bound)?> std::iter::Sum for $type {
            fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
                terms.fold(tape::Real::ZERO, |sum: Self, term| sum + term)
            }
        }
    };
    (@binary $type:ty, [$($t:ident: $bound:path)?],
     $Op:ident $op:ident $by:ident $Assign:ident $assign:ident) => {
        impl<$($t: $bound)?> std::ops::$Op for $type {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: Self) -> Self {
                self.$by(other)
            }
        }

        impl<$($t: $bound)?> std::ops::$Assign for $type {
            #[inline(always)]
            fn $assign(&mut self, other: Self) {
                *self = self.$by(other);
            }
        }
    };
}

pub(crate) use number;
