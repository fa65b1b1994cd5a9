//! Linear algebra over the rational numbers: exact.

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_rational::BigRational;
use num_traits::{One as _, Signed as _, ToPrimitive as _, Zero as _};

use super::{Call, Function, Outcome};
use crate::count::counted;
use crate::generate::Wrong;
use crate::generate::value::{MOST_BITS, Value, bits, compared};

/// Rows of numbers.
type Matrix = Vec<Vec<BigRational>>;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "det(m)",
        what: "the determinant of a square matrix",
        run: |call| {
            let (_, _, det) = square(call, 0).and_then(|it| reduced(call, it))?;
            call.new_number(det)
        },
    },
    Function {
        form: "rank(m)",
        what: "the number of linearly independent rows",
        run: |call| {
            let (_, pivots, _) = call.matrix(0).and_then(|it| reduced(call, it))?;
            Ok(Value::whole(pivots.len()))
        },
    },
    Function {
        form: "inverse(m)",
        what: "the inverse of a square matrix; a mistake if there is none",
        run: |call| {
            let mut matrix = square(call, 0)?;
            let size = matrix.len();
            for (at, row) in matrix.iter_mut().enumerate() {
                row.extend(
                    (0..size).map(|it| if it == at { BigRational::one() } else { BigRational::zero() }),
                );
            }
            let (reduced, pivots, _) = reduced(call, matrix)?;
            if pivots.iter().filter(|it| **it < size).count() < size {
                return Err(call.fails("this matrix has no inverse: its determinant is 0"));
            }
            let inverse = reduced.into_iter().map(|row| row[size..].to_vec()).collect();
            value(call, inverse)
        },
    },
    Function {
        form: "solve(m, v)",
        what: "the vector x with m x = v; a mistake if there is none, or several",
        run: |call| {
            let (mut matrix, right) = (call.matrix(0)?, call.numbers(1)?);
            let columns = matrix[0].len();
            if right.len() != matrix.len() {
                let rows = counted(matrix.len(), "row");
                return Err(call.wrong(1, format!("{} for {rows}", counted(right.len(), "number"))));
            }
            for (row, it) in matrix.iter_mut().zip(right) {
                row.push(it);
            }
            let (reduced, pivots, _) = reduced(call, matrix)?;
            if pivots.contains(&columns) {
                return Err(call.fails("there are no solutions"));
            }
            if pivots.len() < columns {
                return Err(call.fails("there are infinitely many solutions"));
            }
            let solution: Vec<Value> =
                reduced.into_iter().take(columns).map(|row| Value::Number(row[columns].clone())).collect();
            call.new_list(solution)
        },
    },
    Function {
        form: "matmul(a, b)",
        what: "the product of two matrices, or of a matrix and a vector",
        run: |call| {
            let a = call.matrix(0)?;
            let is_vector = !matches!(call.list(1)?.first(), Some(Value::List(_)));
            let b: Matrix = if is_vector {
                call.numbers(1)?.into_iter().map(|it| vec![it]).collect()
            } else {
                call.matrix(1)?
            };
            if a[0].len() != b.len() {
                let (columns, rows) = (counted(a[0].len(), "column"), counted(b.len(), "row"));
                return Err(call.fails(format!("{columns} on the left, {rows} on the right")));
            }
            let product = multiply(call, &a, &b)?;
            if is_vector {
                return call.new_list(product.into_iter().flatten().map(Value::Number).collect());
            }
            value(call, product)
        },
    },
    Function {
        form: "transpose(m)",
        what: "the matrix with rows for columns",
        run: |call| {
            let matrix = call.matrix(0)?;
            let rows = (0..matrix[0].len()).map(|at| matrix.iter().map(|row| row[at].clone()).collect());
            value(call, rows.collect())
        },
    },
    Function {
        form: "trace(m)",
        what: "the sum of the diagonal of a square matrix",
        run: |call| {
            let matrix = square(call, 0)?;
            call.total(matrix.iter().enumerate().map(|(at, row)| &row[at])).map(Value::Number)
        },
    },
    Function {
        form: "dot(u, v)",
        what: "the sum of the products of two vectors' numbers",
        run: |call| {
            let (u, v) = (call.numbers(0)?, call.numbers(1)?);
            if u.len() != v.len() {
                return Err(call.fails(format!("vectors of {} and {} numbers", u.len(), v.len())));
            }
            let mut sum = BigRational::zero();
            for (a, b) in u.iter().zip(&v) {
                let product = call.product(a, b)?;
                sum = call.sum(&sum, &product)?;
            }
            Ok(Value::Number(sum))
        },
    },
    Function {
        form: "characteristic(m)",
        what: "the coefficients of det(x I - m), that of the highest power, which is 1, first",
        run: |call| {
            let matrix = square(call, 0)?;
            let polynomial = characteristic(call, &matrix)?;
            call.new_list(polynomial.into_iter().map(Value::Number).collect())
        },
    },
    Function {
        form: "eigenvalues(m)",
        what: "the eigenvalues of a square matrix, the least first, each as often as it is a root; a mistake if not all are rational",
        run: |call| {
            let matrix = square(call, 0)?;
            let polynomial = characteristic(call, &matrix)?;
            let roots = roots(call, polynomial)?;
            if roots.len() < matrix.len() {
                return Err(call.fails("not all eigenvalues of this matrix are rational"));
            }
            call.new_list(roots.into_iter().map(Value::Number).collect())
        },
    },
];

fn square(call: &Call<'_, '_>, at: usize) -> Result<Matrix, Wrong> {
    let matrix = call.matrix(at)?;
    let (rows, columns) = (matrix.len(), matrix[0].len());
    if rows != columns {
        return Err(call.wrong(
            at,
            format!(
                "expected a square matrix, found {} and {}",
                counted(rows, "row"),
                counted(columns, "column")
            ),
        ));
    }
    Ok(matrix)
}

fn value(call: &mut Call<'_, '_>, matrix: Matrix) -> Outcome {
    let mut rows = Vec::new();
    for row in matrix {
        rows.push(call.new_list(row.into_iter().map(Value::Number).collect())?);
    }
    call.new_list(rows)
}

/// The reduced row echelon form, the columns of its pivots, and the determinant of a square matrix: Gauss and Jordan.
fn reduced(call: &mut Call<'_, '_>, mut matrix: Matrix) -> Result<(Matrix, Vec<usize>, BigRational), Wrong> {
    let (rows, columns) = (matrix.len(), matrix[0].len());
    let mut det = BigRational::one();
    let mut pivots = Vec::new();
    for column in 0..columns {
        let top = pivots.len();
        let Some(found) = (top..rows).find(|it| !matrix[*it][column].is_zero()) else {
            det = BigRational::zero();
            continue;
        };
        if found != top {
            matrix.swap(found, top);
            det = -det;
        }
        let pivot = matrix[top][column].clone();
        det *= &pivot;
        for it in &mut matrix[top] {
            *it /= &pivot;
        }
        longest(call, &[&matrix])?;
        let base = matrix[top].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(at, row)| *at != top && !row[column].is_zero())
        {
            let factor = row[column].clone();
            for (it, base) in row.iter_mut().zip(&base) {
                *it -= &factor * base;
            }
        }
        pivots.push(column);
        if pivots.len() == rows {
            break;
        }
    }
    if pivots.len() < rows {
        det = BigRational::zero();
    }
    Ok((matrix, pivots, det))
}

/// Pays for a step that goes through matrices, by the length of what is in them; an error where that is too long.
fn longest(call: &mut Call<'_, '_>, matrices: &[&Matrix]) -> Result<(), Wrong> {
    let entries = || matrices.iter().flat_map(|it| it.iter()).flatten();
    let longest = entries().map(bits).max().unwrap_or(0);
    if longest > MOST_BITS {
        return Err(call.fails(format!("a number on the way has more than {MOST_BITS} bits")));
    }
    call.pay(entries().count() as u64 * (1 + (longest / 64).pow(2)))
}

fn multiply(call: &mut Call<'_, '_>, a: &Matrix, b: &Matrix) -> Result<Matrix, Wrong> {
    longest(call, &[a, b])?;
    call.pay((a.len() * b.len() * b[0].len()) as u64)?;
    let entry = |row: &[BigRational], column: usize| {
        row.iter().zip(b).fold(BigRational::zero(), |sum, (x, row)| sum + x * &row[column])
    };
    Ok(a.iter().map(|row| (0..b[0].len()).map(|column| entry(row, column)).collect()).collect())
}

/// The characteristic polynomial, by Faddeev and Le Verrier.
fn characteristic(call: &mut Call<'_, '_>, matrix: &Matrix) -> Result<Vec<BigRational>, Wrong> {
    let size = matrix.len();
    let mut coefficients = vec![BigRational::one()];
    let mut product: Matrix = vec![vec![BigRational::zero(); size]; size];
    for step in 1..=size {
        for (at, row) in product.iter_mut().enumerate() {
            row[at] += &coefficients[step - 1];
        }
        product = multiply(call, matrix, &product)?;
        let trace = product.iter().enumerate().fold(BigRational::zero(), |sum, (at, row)| sum + &row[at]);
        coefficients.push(-trace / BigRational::from_integer(BigInt::from(step)));
    }
    Ok(coefficients)
}

/// The most fractions that are tried as roots.
const MOST_ROOTS: usize = 50_000;

/// The rational roots of a polynomial, the highest power first: the least first, each as often as it is one.
///
/// In lowest terms a root's numerator divides the last coefficient and its denominator the first, once all are whole.
pub(super) fn roots(
    call: &mut Call<'_, '_>,
    mut polynomial: Vec<BigRational>,
) -> Result<Vec<BigRational>, Wrong> {
    let mut found = Vec::new();
    while polynomial.len() > 1 && polynomial.last().is_some_and(num_traits::Zero::is_zero) {
        polynomial.pop();
        found.push(BigRational::zero());
    }
    let mut common = BigInt::one();
    for it in &polynomial {
        call.pay(((common.bits() + it.denom().bits()) / 64).pow(2))?;
        common = common.lcm(it.denom());
    }
    let scaled: Vec<BigInt> =
        polynomial.iter().map(|it| (it * BigRational::from_integer(common.clone())).to_integer()).collect();
    let divisors = |of: &BigInt, call: &mut Call<'_, '_>| -> Result<Vec<u64>, Wrong> {
        let of = of.abs().to_u64().filter(|it| *it <= 1_000_000_000);
        let of = of.ok_or_else(|| call.fails("these numbers are too large to look for rational roots"))?;
        let root = of.isqrt();
        call.pay(root)?;
        Ok((1..=root).filter(|it| of % it == 0).flat_map(|it| [it, of / it]).collect())
    };
    if scaled.len() > 1 {
        let tops = divisors(&scaled[scaled.len() - 1], call)?;
        let bottoms = divisors(&scaled[0], call)?;
        if tops.len() * bottoms.len() > MOST_ROOTS {
            return Err(call.fails("these numbers have too many divisors to look for rational roots"));
        }
        let mut candidates = Vec::new();
        for (top, bottom) in tops.iter().flat_map(|top| bottoms.iter().map(move |bottom| (top, bottom))) {
            call.pay(1)?;
            let it = BigRational::new(BigInt::from(*top), BigInt::from(*bottom));
            candidates.extend([-it.clone(), it]);
        }
        candidates.sort_by(compared);
        candidates.dedup();
        for candidate in candidates {
            while polynomial.len() > 1 {
                call.pay(polynomial.len() as u64)?;
                let mut quotient: Vec<BigRational> = Vec::with_capacity(polynomial.len());
                for it in &polynomial {
                    let carried = quotient.last().map_or_else(BigRational::zero, |last| last * &candidate);
                    quotient.push(it + carried);
                }
                if !quotient.pop().is_some_and(|it| it.is_zero()) {
                    break;
                }
                polynomial = quotient;
                found.push(candidate.clone());
            }
        }
    }
    found.sort_by(compared);
    Ok(found)
}
