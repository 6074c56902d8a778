/**
 * The schema language: a message is one declarative value, its TypeScript types are inferred from it, and
 * `type.at(version, flexible)` compiles it to a `{ read, write }` pair once per API version, so that nothing on the
 * hot path looks at versions. README.md beside this file explains the language on one page.
 *
 * Rules (Kafka's message generator): a field that a version lacks reads as its default; writing a value other than the
 * default into a version that lacks the field throws, unless the field is `ignorable`; unknown tagged fields are
 * skipped; a tagged field that has its default is not written.
 */
import { MalformedError, Reader, Writer, ZERO_UUID } from './buffer.ts'

// biome-ignore lint/suspicious/noExplicitAny: the one file where the types of fields are erased (STYLE.md)
type Any = any

export interface Codec<T, I = T> {
  read(reader: Reader): T
  write(writer: Writer, value: I): void
}

/** `T` is what reading gives; `I` is what writing accepts (fields with a default may be left out). */
export interface Type<T, I = T> {
  /** The value of a field of this type where nothing is said: 0, '', [], … */
  readonly zero: T
  at(version: number, flexible: boolean): Codec<T, I>
}

/** A field that is not in every version, or that has a default of its own. */
export interface Field<T, I = T> {
  readonly field: true
  readonly type: Type<T, I>
  readonly since: number
  readonly until: number
  readonly tag: number | null
  readonly otherwise: T
  readonly ignorable: boolean
}

type Shape = { readonly [name: string]: Type<Any, Any> | Field<Any, Any> }
type ReadOf<F> = F extends Field<infer T, Any> ? T : F extends Type<infer T, Any> ? T : never
type WriteOf<F> = F extends Field<Any, infer I> ? I : F extends Type<Any, infer I> ? I : never
type OptionalKeys<S> = { [K in keyof S]: S[K] extends Field<Any, Any> ? K : never }[keyof S]
type StructRead<S> = { [K in keyof S]: ReadOf<S[K]> }
type StructWrite<S> = { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: WriteOf<S[K]> } & {
  readonly [K in OptionalKeys<S>]?: WriteOf<S[K]> | undefined
}

/** What reading a type gives. */
export type Infer<T> = T extends Type<infer R, Any> ? R : never
/** What writing a type accepts. */
export type InferInput<T> = T extends Type<Any, infer I> ? I : never

function primitive<T>(zero: T, read: (r: Reader) => T, write: (w: Writer, v: T) => void): Type<T> {
  const codec = { read, write }
  return { zero, at: () => codec }
}

export const bool = primitive(
  false,
  r => r.boolean(),
  (w, v) => w.boolean(v),
)
export const int8 = primitive(
  0,
  r => r.int8(),
  (w, v) => w.int8(v),
)
export const int16 = primitive(
  0,
  r => r.int16(),
  (w, v) => w.int16(v),
)
export const uint16 = primitive(
  0,
  r => r.uint16(),
  (w, v) => w.uint16(v),
)
export const int32 = primitive(
  0,
  r => r.int32(),
  (w, v) => w.int32(v),
)
export const uint32 = primitive(
  0,
  r => r.uint32(),
  (w, v) => w.uint32(v),
)
export const int64 = primitive(
  0,
  r => r.int64(),
  (w, v) => w.int64(v),
)
export const float64 = primitive(
  0,
  r => r.float64(),
  (w, v) => w.float64(v),
)
export const uuid = primitive(
  ZERO_UUID,
  r => r.uuid(),
  (w, v) => w.uuid(v),
)

/** How a length is written: `prefix` bytes wide, or as uvarint of length + 1 in flexible versions; -1 is null. */
interface Lengths {
  read(r: Reader): number
  write(w: Writer, length: number): void
}
const compact: Lengths = { read: r => r.uvarint() - 1, write: (w, n) => w.uvarint(n + 1) }
const short: Lengths = { read: r => r.int16(), write: (w, n) => w.int16(n) }
const long: Lengths = { read: r => r.int32(), write: (w, n) => w.int32(n) }

function sized<T>(zero: T, plain: Lengths, make: (lengths: Lengths) => Codec<T>): Type<T> {
  const [plainCodec, compactCodec] = [make(plain), make(compact)]
  return { zero, at: (_version, flexible) => (flexible ? compactCodec : plainCodec) }
}

function textCodec<T extends string | null>(lengths: Lengths, nullable: boolean): Codec<T> {
  return {
    read(r) {
      const length = lengths.read(r)
      if (length >= 0) return r.text(length) as T
      if (!nullable || length !== -1) throw new MalformedError(`string of length ${length}`)
      return null as T
    },
    write(w, value) {
      if (value === null) {
        if (!nullable) throw new TypeError('null for a string that may not be null')
        return lengths.write(w, -1)
      }
      const length = Buffer.byteLength(value)
      if (lengths === short && length > 0x7fff)
        throw new TypeError('string longer than 32767 bytes')
      lengths.write(w, length)
      w.text(value)
    },
  }
}

function bytesCodec<T extends Buffer | null>(lengths: Lengths, nullable: boolean): Codec<T> {
  return {
    read(r) {
      const length = lengths.read(r)
      if (length >= 0) return r.view(length) as T
      if (!nullable || length !== -1) throw new MalformedError(`bytes of length ${length}`)
      return null as T
    },
    write(w, value) {
      if (value === null) {
        if (!nullable) throw new TypeError('null for bytes that may not be null')
        return lengths.write(w, -1)
      }
      lengths.write(w, value.length)
      w.raw(value)
    },
  }
}

export const string = sized<string>('', short, l => textCodec(l, false))
export const nullableString = sized<string | null>('', short, l => textCodec(l, true))
/** Bytes are views into the frame: copy what outlives the request. */
export const bytes = sized<Buffer>(Buffer.alloc(0), long, l => bytesCodec(l, false))
export const nullableBytes = sized<Buffer | null>(Buffer.alloc(0), long, l => bytesCodec(l, true))

function arrayCodec<T, I>(item: Codec<T, I>, lengths: Lengths, nullable: boolean): Codec<Any, Any> {
  return {
    read(r) {
      const length = lengths.read(r)
      if (length < 0) {
        if (nullable && length === -1) return null
        throw new MalformedError(`array of length ${length}`)
      }
      // Every item takes at least a byte, so a lying length cannot make us allocate more than the frame's size.
      if (length > r.remaining)
        throw new MalformedError(`array of ${length}, ${r.remaining} bytes left`)
      const items: T[] = []
      for (let i = 0; i < length; i++) items.push(item.read(r))
      return items
    },
    write(w, value: readonly I[] | null) {
      if (value === null) {
        if (!nullable) throw new TypeError('null for an array that may not be null')
        return lengths.write(w, -1)
      }
      lengths.write(w, value.length)
      for (let i = 0; i < value.length; i++) item.write(w, value[i]!)
    },
  }
}

export function array<T, I>(item: Type<T, I>): Type<T[], readonly I[]> {
  return { zero: [], at: memo((v, f) => arrayCodec(item.at(v, f), f ? compact : long, false)) }
}

export function nullableArray<T, I>(item: Type<T, I>): Type<T[] | null, readonly I[] | null> {
  return { zero: [], at: memo((v, f) => arrayCodec(item.at(v, f), f ? compact : long, true)) }
}

/** Null is allowed from `version` on and an error before: Kafka's `nullableVersions`. */
export function nullableSince<T, I>(
  version: number,
  plain: Type<T, I>,
  nullable: Type<T | null, I | null>,
): Type<T | null, I | null> {
  return {
    zero: plain.zero,
    at: (v, f) => (v >= version ? nullable.at(v, f) : (plain.at(v, f) as Codec<Any, Any>)),
  }
}

/** A struct that may be null: one byte (-1 null, 1 present) before it, as Kafka writes it. */
export function nullableStruct<T, I>(type: Type<T, I>): Type<T | null, I | null> {
  return {
    zero: null,
    at: memo((v, f) => {
      const inner = type.at(v, f)
      return {
        read: r => (r.int8() < 0 ? null : inner.read(r)),
        write(w, value) {
          w.int8(value === null ? -1 : 1)
          if (value !== null) inner.write(w, value)
        },
      }
    }),
  }
}

function field<T, I>(
  type: Type<T, I>,
  since: number,
  until: number,
  tag: number | null,
  otherwise: T | undefined,
): Field<T, I> {
  const value = otherwise === undefined ? type.zero : otherwise
  return { field: true, type, since, until, tag, otherwise: value, ignorable: false }
}

/** In every version, with a default, so that writers may leave it out. */
export const optional = <T, I>(type: Type<T, I>, otherwise?: T) =>
  field(type, 0, 32767, null, otherwise)
/** From `version` on (inclusive). */
export const since = <T, I>(version: number, type: Type<T, I>, otherwise?: T) =>
  field(type, version, 32767, null, otherwise)
/** Up to `version` (inclusive). */
export const until = <T, I>(version: number, type: Type<T, I>, otherwise?: T) =>
  field(type, 0, version, null, otherwise)
/** From `first` to `last`, both inclusive. */
export const between = <T, I>(first: number, last: number, type: Type<T, I>, otherwise?: T) =>
  field(type, first, last, null, otherwise)
/** A tagged field from `version` (a flexible one) on. */
export const tagged = <T, I>(tag: number, version: number, type: Type<T, I>, otherwise?: T) =>
  field(type, version, 32767, tag, otherwise)
/** A version that lacks the field drops its value silently instead of throwing: Kafka's `ignorable`. */
export const ignorable = <T, I>(f: Field<T, I>): Field<T, I> => ({ ...f, ignorable: true })

interface Slot {
  readonly name: string
  readonly codec: Codec<Any> | null // null: not in this version
  readonly tag: number | null
  readonly otherwise: Any
  readonly ignorable: boolean
}

export function struct<S extends Shape>(shape: S): Type<StructRead<S>, StructWrite<S>> {
  const at = memo((version: number, flexible: boolean) => {
    const slots = Object.entries(shape).map(([name, f]) => slotAt(name, f, version, flexible))
    return structCodec(slots, flexible) as Codec<StructRead<S>, StructWrite<S>>
  })
  return { zero: zeroOf(shape) as StructRead<S>, at }
}

function zeroOf(shape: Shape): Record<string, Any> {
  return Object.fromEntries(
    Object.entries(shape).map(([name, f]) => [name, 'field' in f ? f.otherwise : f.zero]),
  )
}

function slotAt(name: string, f: Shape[string], version: number, flexible: boolean): Slot {
  if (!('field' in f)) {
    return { name, codec: f.at(version, flexible), tag: null, otherwise: f.zero, ignorable: false }
  }
  const present = version >= f.since && version <= f.until && (f.tag === null || flexible)
  const codec = present ? f.type.at(version, flexible) : null
  return { name, codec, tag: f.tag, otherwise: f.otherwise, ignorable: f.ignorable }
}

function structCodec(slots: readonly Slot[], flexible: boolean): Codec<Any, Any> {
  const tags = slots.filter(s => s.tag !== null && s.codec !== null).sort((a, b) => a.tag! - b.tag!)
  return {
    read(r) {
      const value: Record<string, Any> = {}
      for (let i = 0; i < slots.length; i++) {
        const slot = slots[i]!
        value[slot.name] =
          slot.codec === null || slot.tag !== null ? slot.otherwise : slot.codec.read(r)
      }
      if (flexible) readTags(r, tags, value)
      return value
    },
    write(w, value: Record<string, Any>) {
      for (let i = 0; i < slots.length; i++) {
        const slot = slots[i]!
        const given = value[slot.name]
        if (slot.codec === null) checkDroppable(slot, given)
        else if (slot.tag === null)
          slot.codec.write(w, given === undefined ? slot.otherwise : given)
      }
      if (flexible) writeTags(w, tags, value)
    },
  }
}

function checkDroppable(slot: Slot, given: Any): void {
  if (given === undefined || slot.ignorable || isDefault(given, slot.otherwise)) return
  throw new TypeError(`field ${slot.name} does not exist in this version and may not be dropped`)
}

function readTags(r: Reader, tags: readonly Slot[], value: Record<string, Any>): void {
  const count = r.uvarint()
  for (let i = 0; i < count; i++) {
    const tag = r.uvarint()
    const size = r.uvarint()
    const start = r.skip(size)
    const slot = tags.find(s => s.tag === tag)
    if (slot === undefined) continue
    const inner = new Reader(r.buffer, start, start + size)
    value[slot.name] = slot.codec!.read(inner)
    if (inner.remaining > 0)
      throw new MalformedError(`${inner.remaining} bytes too many in tag ${tag}`)
  }
}

function writeTags(w: Writer, tags: readonly Slot[], value: Record<string, Any>): void {
  if (tags.length === 0) return w.uvarint(0)
  const given = tags.filter(
    s => value[s.name] !== undefined && !isDefault(value[s.name], s.otherwise),
  )
  w.uvarint(given.length)
  for (const slot of given) {
    const inner = new Writer(64)
    slot.codec!.write(inner, value[slot.name])
    w.uvarint(slot.tag!)
    w.uvarint(inner.position)
    w.raw(inner.bytes())
  }
}

function isDefault(value: Any, otherwise: Any): boolean {
  if (value === otherwise) return true
  if (value === null || otherwise === null || typeof value !== 'object') return false
  if (Array.isArray(value) || Buffer.isBuffer(value)) {
    return value.length === 0 && otherwise.length === 0
  }
  return Object.keys(otherwise).every(
    key => value[key] === undefined || isDefault(value[key], otherwise[key]),
  )
}

function memo<C>(compile: (version: number, flexible: boolean) => C): (v: number, f: boolean) => C {
  const compiled = new Map<number, C>()
  return (version, flexible) => {
    const key = version * 2 + (flexible ? 1 : 0)
    let codec = compiled.get(key)
    if (codec === undefined) {
      codec = compile(version, flexible)
      compiled.set(key, codec)
    }
    return codec
  }
}

/** One API: its key, its versions and the two messages. */
export interface Api<N extends string = string, Q = Any, QI = Any, R = Any, RI = Any> {
  readonly key: number
  readonly name: N
  /** Lowest and highest version whose shape is known, both inclusive. */
  readonly versions: readonly [number, number]
  /** What ApiVersions says, where it differs from `versions`. */
  readonly advertised: readonly [number, number]
  /** First flexible version; null where there is none. */
  readonly flexible: number | null
  readonly request: Type<Q, QI>
  readonly response: Type<R, RI>
}

export function api<const N extends string, Q, QI, R, RI>(definition: {
  key: number
  name: N
  versions: readonly [number, number]
  advertised?: readonly [number, number]
  flexible: number | null
  request: Type<Q, QI>
  response: Type<R, RI>
}): Api<N, Q, QI, R, RI> {
  return { advertised: definition.versions, ...definition }
}

/** Whether `version` of an API uses compact lengths and tagged fields. */
export function isFlexible(definition: { flexible: number | null }, version: number): boolean {
  return definition.flexible !== null && version >= definition.flexible
}
