//! What hostile bytes may make a binary format do, bounded.
//!
//! The formats' own libraries trust three things that whoever writes to the store can choose:
//!
//! | trusted | what it could cost | the bound |
//! |---|---|---|
//! | nesting | the stack: an abort | [`MAX_DEPTH`] levels |
//! | a length | memory set aside for elements that never come | no more of them than there are bytes |
//! | a count of elements that take no bytes | a loop of 2^64 rounds | [`MAX_EMPTY_ELEMENTS`] of them |
//!
//! [`Guarded`] wraps a deserializer, and with it every visitor, seed and access that serde hands back and
//! forth, so that each nested value passes by here. Strings and byte strings are asked for as borrowed
//! ones, because then every library compares their length with what is left before it allocates.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// The deepest nesting that [`MsgPack`](crate::MsgPack), [`Postcard`](crate::Postcard) and
/// [`Bincode`](crate::Bincode) decode: 128 levels, so that bytes cannot exhaust the stack. A level is
/// a sequence, map, tuple, struct, enum, `Some` or newtype.
pub const MAX_DEPTH: usize = 128;

/// How many elements of sequences and maps may take no bytes at all, in one value: 65,536. Types such
/// as `Vec<()>` have them; without a bound, three bytes could ask for 2^64 rounds of a loop.
pub const MAX_EMPTY_ELEMENTS: usize = 65_536;

/// Budgets of one value.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Elements that may still come.
    elements: Cell<usize>,
    /// Elements that memory may still be set aside for. Every element of an honest value takes a byte
    /// or no memory, so honest lengths are always granted in full.
    hints: Cell<usize>,
    refused: Cell<Option<&'static str>>,
}

/// The place in the value.
#[derive(Debug, Clone, Copy)]
struct Guard<'l> {
    limits: &'l Limits,
    /// Levels that may still come.
    left: usize,
    /// Whether the bytes chose how many elements there are, and not the type.
    counted: bool,
}

/// Anything of serde's, with the guard beside it.
#[derive(Debug)]
pub(crate) struct Guarded<'l, X> {
    inner: X,
    guard: Guard<'l>,
}

impl Limits {
    /// Budgets for a value of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            elements: Cell::new(bytes.saturating_add(MAX_EMPTY_ELEMENTS)),
            hints: Cell::new(bytes),
            refused: Cell::new(None),
        }
    }

    /// Wraps what decodes the value.
    pub(crate) fn over<X>(&self, inner: X) -> Guarded<'_, X> {
        Guarded {
            inner,
            guard: Guard {
                limits: self,
                left: MAX_DEPTH,
                counted: false,
            },
        }
    }

    /// Why the value was refused, if a bound was what ended it.
    pub(crate) fn refused(&self) -> Option<&'static str> {
        self.refused.get()
    }

    #[inline]
    fn refuse<E: Error>(&self, why: &'static str) -> E {
        self.refused.set(Some(why));
        E::custom(why)
    }
}

impl<'l> Guard<'l> {
    #[inline]
    fn over<X>(self, inner: X) -> Guarded<'l, X> {
        Guarded { inner, guard: self }
    }

    #[inline]
    fn counting(self, counted: bool) -> Self {
        Self { counted, ..self }
    }

    #[inline]
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(self.limits.refuse("nested too deep")),
        }
    }

    #[inline]
    fn charge<E: Error>(self) -> Result<(), E> {
        if self.counted {
            let elements = &self.limits.elements;
            match elements.get().checked_sub(1) {
                Some(left) => elements.set(left),
                None => return Err(self.limits.refuse("more elements than bytes")),
            }
        }
        Ok(())
    }

    #[inline]
    fn hint(self, hint: Option<usize>) -> Option<usize> {
        if !self.counted {
            return hint;
        }
        let hints = &self.limits.hints;
        let granted = hint?.min(hints.get());
        hints.set(hints.get() - granted);
        Some(granted)
    }
}

macro_rules! deserialize {
    ($counted:literal: $($method:ident($($arg:ident: $type:ty),*) as $inner:ident;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$inner($($arg,)* self.guard.counting($counted).over(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, D> {
    type Error = D::Error;

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    deserialize! { true:
        deserialize_any() as deserialize_any;
        deserialize_seq() as deserialize_seq;
        deserialize_map() as deserialize_map;
        deserialize_ignored_any() as deserialize_ignored_any;
    }
    deserialize! { false:
        deserialize_bool() as deserialize_bool;
        deserialize_i8() as deserialize_i8;
        deserialize_i16() as deserialize_i16;
        deserialize_i32() as deserialize_i32;
        deserialize_i64() as deserialize_i64;
        deserialize_i128() as deserialize_i128;
        deserialize_u8() as deserialize_u8;
        deserialize_u16() as deserialize_u16;
        deserialize_u32() as deserialize_u32;
        deserialize_u64() as deserialize_u64;
        deserialize_u128() as deserialize_u128;
        deserialize_f32() as deserialize_f32;
        deserialize_f64() as deserialize_f64;
        deserialize_char() as deserialize_char;
        deserialize_str() as deserialize_str;
        deserialize_string() as deserialize_str;
        deserialize_bytes() as deserialize_bytes;
        deserialize_byte_buf() as deserialize_bytes;
        deserialize_option() as deserialize_option;
        deserialize_unit() as deserialize_unit;
        deserialize_unit_struct(name: &'static str) as deserialize_unit_struct;
        deserialize_newtype_struct(name: &'static str) as deserialize_newtype_struct;
        deserialize_tuple(len: usize) as deserialize_tuple;
        deserialize_tuple_struct(name: &'static str, len: usize) as deserialize_tuple_struct;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) as deserialize_struct;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) as deserialize_enum;
        deserialize_identifier() as deserialize_identifier;
    }
}

macro_rules! visit {
    ($($method:ident: $type:ty;)*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Guarded<'_, V> {
    type Value = V::Value;

    #[inline]
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let guard = self.guard.deeper()?;
        self.inner.visit_some(guard.over(inner))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let guard = self.guard.deeper()?;
        self.inner.visit_newtype_struct(guard.over(inner))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let guard = self.guard.deeper()?;
        self.inner.visit_seq(guard.over(inner))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let guard = self.guard.deeper()?;
        self.inner.visit_map(guard.over(inner))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let guard = self.guard.deeper()?;
        self.inner.visit_enum(guard.over(inner))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Guarded<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(self.guard.over(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let element = self.inner.next_element_seed(self.guard.over(seed))?;
        if element.is_some() {
            self.guard.charge()?;
        }
        Ok(element)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.guard.hint(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let key = self.inner.next_key_seed(self.guard.over(seed))?;
        if key.is_some() {
            self.guard.charge()?;
        }
        Ok(key)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(self.guard.over(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.guard.hint(self.inner.size_hint())
    }
}

impl<'de, 'l, A: EnumAccess<'de>> EnumAccess<'de> for Guarded<'l, A> {
    type Error = A::Error;
    type Variant = Guarded<'l, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(self.guard.over(seed))?;
        Ok((value, self.guard.over(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guarded<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(self.guard.over(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, v: V) -> Result<V::Value, A::Error> {
        let visitor = self.guard.counting(false).over(v);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.guard.counting(false).over(v);
        self.inner.struct_variant(fields, visitor)
    }
}
