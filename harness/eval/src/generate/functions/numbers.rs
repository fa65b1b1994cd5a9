//! Arithmetic and number theory.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_integer::Integer as _;
use num_rational::BigRational;
use num_traits::{One as _, Signed as _, ToPrimitive as _, Zero as _};

use super::{Call, Function, Outcome};
use crate::generate::Wrong;
use crate::generate::value::{Value, compared};

/// The largest number that is taken apart into primes: its root has so many steps.
const LARGEST_FACTORED: u64 = 1_000_000_000_000;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "abs(x)",
        what: "x without its sign",
        run: |call| Ok(Value::Number(call.number(0)?.abs())),
    },
    Function { form: "sign(x)", what: "-1, 0 or 1", run: |call| Ok(Value::Number(call.number(0)?.signum())) },
    Function {
        form: "floor(x)",
        what: "the largest whole number that is not above x",
        run: |call| Ok(Value::Number(call.number(0)?.floor())),
    },
    Function {
        form: "ceil(x)",
        what: "the smallest whole number that is not below x",
        run: |call| Ok(Value::Number(call.number(0)?.ceil())),
    },
    Function {
        form: "round(x, digits?)",
        what: "x to so many digits after the point, 0 unless given; halves away from zero",
        run: |call| {
            let digits = if call.len() > 1 { call.count(1, 100)? } else { 0 };
            let scale = BigRational::from_integer(BigInt::from(10).pow(u32::try_from(digits).unwrap_or(0)));
            let rounded = (call.number(0)? * &scale).round() / scale;
            call.new_number(rounded)
        },
    },
    Function {
        form: "min(a, …)",
        what: "the least of the numbers, or of a list's",
        run: |call| extreme(call, Ordering::is_lt),
    },
    Function {
        form: "max(a, …)",
        what: "the greatest of the numbers, or of a list's",
        run: |call| extreme(call, Ordering::is_gt),
    },
    Function {
        form: "sum(list)",
        what: "the sum of a list's numbers; 0 of none",
        run: |call| {
            let numbers = call.numbers(0)?;
            call.total(&numbers).map(Value::Number)
        },
    },
    Function {
        form: "product(list)",
        what: "the product of a list's numbers; 1 of none",
        run: |call| {
            let mut product = BigRational::one();
            for it in call.numbers(0)? {
                product = call.product(&product, &it)?;
            }
            Ok(Value::Number(product))
        },
    },
    Function {
        form: "numerator(x)",
        what: "of x in lowest terms",
        run: |call| Ok(Value::whole(call.number(0)?.numer().clone())),
    },
    Function {
        form: "denominator(x)",
        what: "of x in lowest terms, above 0",
        run: |call| Ok(Value::whole(call.number(0)?.denom().clone())),
    },
    Function {
        form: "is_whole(x)",
        what: "whether x is a whole number",
        run: |call| Ok(Value::Boolean(call.number(0)?.is_integer())),
    },
    Function {
        form: "gcd(a, b, …)",
        what: "the greatest common divisor, at least 0",
        run: |call| {
            let all = (0..call.len()).map(|at| call.integer(at)).collect::<Result<Vec<_>, _>>()?;
            call.pay(all.iter().map(|it| (it.bits() / 64).pow(2)).sum())?;
            Ok(Value::whole(all.iter().fold(BigInt::zero(), |so_far, it| so_far.gcd(it))))
        },
    },
    Function {
        form: "lcm(a, b, …)",
        what: "the least common multiple, at least 0",
        run: |call| {
            let mut multiple = BigInt::one();
            for at in 0..call.len() {
                let next = call.integer(at)?;
                call.pay(((multiple.bits() + next.bits()) / 64).pow(2))?;
                multiple = multiple.lcm(&next);
                call.new_number(BigRational::from_integer(multiple.clone()))?;
            }
            Ok(Value::whole(multiple))
        },
    },
    Function {
        form: "powmod(base, exponent, modulus)",
        what: "base ** exponent % modulus, for exponents from 0",
        run: |call| {
            let (base, exponent, modulus) = (call.integer(0)?, call.integer(1)?, call.integer(2)?);
            if exponent.is_negative() {
                return Err(call.wrong(1, "the exponent is at least 0"));
            }
            if !modulus.is_positive() {
                return Err(call.wrong(2, "the modulus is above 0"));
            }
            call.pay(exponent.bits() * (1 + modulus.bits() / 64).pow(2))?;
            Ok(Value::whole(base.modpow(&exponent, &modulus)))
        },
    },
    Function {
        form: "inverse_mod(a, modulus)",
        what: "the x from 0 to modulus - 1 with a * x % modulus == 1; a mistake where there is none",
        run: |call| {
            let (a, modulus) = (call.integer(0)?, call.integer(1)?);
            if !modulus.is_positive() {
                return Err(call.wrong(1, "the modulus is above 0"));
            }
            call.pay(((a.bits() + modulus.bits()) / 64).pow(2) * 4)?;
            let found = a.extended_gcd(&modulus);
            if !found.gcd.abs().is_one() {
                return Err(call.fails(format!("{a} has no inverse modulo {modulus}")));
            }
            Ok(Value::whole((found.x * found.gcd.signum()).mod_floor(&modulus)))
        },
    },
    Function {
        form: "is_prime(n)",
        what: "whether n, at most 10^12, is a prime",
        run: |call| {
            if !call.integer(0)?.is_positive() {
                return Ok(Value::Boolean(false));
            }
            Ok(Value::Boolean(factors(call)?.len() == 1))
        },
    },
    Function {
        form: "primes(n)",
        what: "the primes up to n, at most 100 000",
        run: |call| {
            let n = call.count(0, 100_000)?;
            call.pay(n as u64)?;
            let mut sieve = vec![true; n + 1];
            let mut primes = Vec::new();
            for it in 2..=n {
                if sieve[it] {
                    primes.push(Value::whole(it));
                    (it * it..=n).step_by(it).for_each(|multiple| sieve[multiple] = false);
                }
            }
            call.new_list(primes)
        },
    },
    Function {
        form: "factors(n)",
        what: "the primes whose product n is, n from 1 to 10^12: the smallest first, each as often as it divides n",
        run: |call| {
            let factors = factors(call)?;
            call.new_list(factors.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "divisors(n)",
        what: "the numbers from 1 to n that divide n, n from 1 to 10^12",
        run: |call| {
            let mut divisors = vec![1_u64];
            let factors = factors(call)?;
            for prime in factors {
                let more: Vec<u64> = divisors.iter().map(|it| it * prime).collect();
                divisors.extend(more);
                divisors.sort_unstable();
                divisors.dedup();
            }
            call.new_list(divisors.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "factorial(n)",
        what: "1 * 2 * … * n, for n up to 800",
        run: |call| {
            let n = call.count(0, 800)?;
            call.pay(n as u64 * 16)?;
            call.new_number(BigRational::from_integer((1..=n).map(BigInt::from).product()))
        },
    },
    Function {
        form: "binomial(n, k)",
        what: "how many sets of k there are among n, for n up to 5 000; 0 for k above n",
        run: |call| {
            let (n, k) = (call.count(0, 5_000)?, call.count(1, 5_000)?);
            call.pay(k.min(n) as u64 * 16)?;
            call.new_number(BigRational::from_integer(binomial(n, k)))
        },
    },
    Function {
        form: "isqrt(n)",
        what: "the largest whole number whose square is not above n",
        run: |call| {
            let n = call.integer(0)?;
            if n.is_negative() {
                return Err(call.wrong(0, "there is no root of a number below 0"));
            }
            call.pay(n.bits())?;
            Ok(Value::whole(n.sqrt()))
        },
    },
    Function {
        form: "ilog(n, base)",
        what: "the largest k with base ** k <= n, for n from 1 and a base from 2",
        run: |call| {
            let (n, base) = (call.integer(0)?, call.integer(1)?);
            if !n.is_positive() {
                return Err(call.wrong(0, "a logarithm is of a number above 0"));
            }
            if base < BigInt::from(2) {
                return Err(call.wrong(1, "the base is at least 2"));
            }
            let (mut power, mut exponent) = (base.clone(), 0_u64);
            while power <= n {
                call.pay(1 + power.bits() / 64)?;
                power *= &base;
                exponent += 1;
            }
            Ok(Value::whole(exponent))
        },
    },
    Function {
        form: "digits(n, base?)",
        what: "the digits of n, from 0, in base 2 to 36, 10 unless given; the highest first",
        run: |call| {
            let base = base(call, 1)?;
            let n = call
                .integer(0)?
                .to_biguint()
                .ok_or_else(|| call.wrong(0, "digits are of a number from 0"))?;
            call.pay(n.bits())?;
            call.new_list(n.to_radix_be(base).into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "in_base(n, base)",
        what: "n, from 0, written in base 2 to 36, with small letters",
        run: |call| {
            let base = base(call, 1)?;
            let n = call.integer(0)?.to_biguint().ok_or_else(|| call.wrong(0, "expected a number from 0"))?;
            call.pay(n.bits())?;
            call.new_text(n.to_str_radix(base))
        },
    },
    Function {
        form: "from_base(text, base)",
        what: "the number that a text is in base 2 to 36",
        run: |call| {
            let (text, base) = (call.text(0)?, base(call, 1)?);
            if text.len() > 2_000 {
                return Err(call.wrong(0, "this number is too long"));
            }
            let number = BigInt::parse_bytes(text.as_bytes(), base);
            let number =
                number.ok_or_else(|| call.wrong(0, format!("`{text}` is no number in base {base}")))?;
            call.new_number(BigRational::from_integer(number))
        },
    },
    Function {
        form: "bit_and(a, b)",
        what: "the bits that both have, for numbers from 0",
        run: |call| bitwise(call, |a, b| a & b),
    },
    Function {
        form: "bit_or(a, b)",
        what: "the bits that one of both has",
        run: |call| bitwise(call, |a, b| a | b),
    },
    Function {
        form: "bit_xor(a, b)",
        what: "the bits that only one of both has",
        run: |call| bitwise(call, |a, b| a ^ b),
    },
];

fn extreme(call: &Call<'_, '_>, better: fn(Ordering) -> bool) -> Outcome {
    let numbers = match call.value(0) {
        Value::List(_) if call.len() == 1 => call.numbers(0)?,
        _ => (0..call.len()).map(|at| call.number(at)).collect::<Result<_, _>>()?,
    };
    let found =
        numbers.into_iter().reduce(|so_far, it| if better(compared(&it, &so_far)) { it } else { so_far });
    found
        .map(Value::Number)
        .ok_or_else(|| call.fails("an empty list has neither a least nor a greatest number"))
}

fn factors(call: &mut Call<'_, '_>) -> Result<Vec<u64>, Wrong> {
    let n = call.integer(0)?.to_u64().filter(|it| (1..=LARGEST_FACTORED).contains(it));
    let Some(mut n) = n else { return Err(call.wrong(0, "expected a whole number from 1 to 10^12")) };
    let mut factors = Vec::new();
    let mut candidate = 2;
    while candidate * candidate <= n {
        call.pay(1)?;
        while n % candidate == 0 {
            factors.push(candidate);
            n /= candidate;
        }
        candidate += 1;
    }
    if n > 1 {
        factors.push(n);
    }
    Ok(factors)
}

/// Whether there are more than so many sets of `k` among `n`; found without computing how many there are.
pub(super) fn more_sets_than(n: usize, k: usize, most: u64) -> bool {
    let mut sets = 1_u128;
    // Each step gives a whole number again, and one that is larger.
    for it in 0..k.min(n.saturating_sub(k)) {
        sets = sets * (n - it) as u128 / (it + 1) as u128;
        if sets > u128::from(most) {
            return true;
        }
    }
    false
}

/// How many sets of `k` there are among `n`.
pub(super) fn binomial(n: usize, k: usize) -> BigInt {
    if k > n {
        return BigInt::zero();
    }
    (0..k.min(n - k)).fold(BigInt::one(), |so_far, it| so_far * BigInt::from(n - it) / BigInt::from(it + 1))
}

fn base(call: &Call<'_, '_>, at: usize) -> Result<u32, Wrong> {
    if call.len() <= at {
        return Ok(10);
    }
    let base = call.count(at, 36)?;
    u32::try_from(base)
        .ok()
        .filter(|it| *it >= 2)
        .ok_or_else(|| call.wrong(at, "a base lies between 2 and 36"))
}

fn bitwise(call: &Call<'_, '_>, of: fn(BigInt, BigInt) -> BigInt) -> Outcome {
    let (a, b) = (call.integer(0)?, call.integer(1)?);
    if a.is_negative() || b.is_negative() {
        return Err(call.fails("bits are those of numbers from 0"));
    }
    Ok(Value::whole(of(a, b)))
}
