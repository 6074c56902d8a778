/**
 * The schema language: a message is one declarative value, its TypeScript types are inferred from it, and
 * `type.at(version, flexible)` compiles it to a `{ read, write }` pair once per API version, so that nothing on the
 * hot path looks at versions (compile.ts). README.md beside this file explains the language on one page.
 *
 * Rules (Kafka's message generator): a field that a version lacks reads as its default; writing a value other than the
 * default into a version that lacks the field throws, unless the field is `ignorable`; unknown tagged fields are
 * skipped; a tagged field that has its default is not written.
 */
import { ZERO_UUID } from './buffer.ts'
import { type Codec, compile, type FieldNode, type Node, type Primitive } from './compile.ts'

export type { Codec } from './compile.ts'

// biome-ignore lint/suspicious/noExplicitAny: the one file where the types of fields are erased (STYLE.md)
type Any = any

/** `T` is what reading gives; `I` is what writing accepts (fields with a default may be left out). */
export interface Type<T, I = T> {
  /** The value of a field of this type where nothing is said: 0, '', [], … */
  readonly zero: T
  /** The type as data. */
  readonly node: Node
  /** The codec of one version; compiled at the first call. */
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

function type<T, I = T>(zero: T, node: Node): Type<T, I> {
  const compiled = new Map<number, Codec<T, I>>()
  const at = (version: number, flexible: boolean): Codec<T, I> => {
    const key = version * 2 + (flexible ? 1 : 0)
    let codec = compiled.get(key)
    if (codec === undefined) {
      codec = compile(node, version, flexible) as Codec<Any, Any>
      compiled.set(key, codec)
    }
    return codec
  }
  return { zero, node, at }
}

const primitive = <T>(zero: T, method: Primitive) => type(zero, { kind: 'primitive', method })

export const bool = primitive(false, 'boolean')
export const int8 = primitive(0, 'int8')
export const int16 = primitive(0, 'int16')
export const uint16 = primitive(0, 'uint16')
export const int32 = primitive(0, 'int32')
export const uint32 = primitive(0, 'uint32')
/** Exact to 2^53; see buffer.ts. */
export const int64 = primitive(0, 'int64')
export const float64 = primitive(0, 'float64')
/** In Kafka's text form: 22 characters of URL-safe base64. */
export const uuid = primitive(ZERO_UUID, 'uuid')

const noBytes = Buffer.alloc(0)

export const string = type('', { kind: 'string', nullable: false })
export const nullableString = type<string | null>('', { kind: 'string', nullable: true })
/** Bytes are views into the frame: copy what outlives the request. */
export const bytes = type<Buffer>(noBytes, { kind: 'bytes', nullable: false })
export const nullableBytes = type<Buffer | null>(noBytes, { kind: 'bytes', nullable: true })

export function array<T, I>(item: Type<T, I>): Type<T[], readonly I[]> {
  return type<T[], readonly I[]>([], { kind: 'array', item: item.node, nullable: false })
}

export function nullableArray<T, I>(item: Type<T, I>): Type<T[] | null, readonly I[] | null> {
  return type<T[] | null, readonly I[] | null>([], {
    kind: 'array',
    item: item.node,
    nullable: true,
  })
}

/** Null is allowed from `version` on and an error before: Kafka's `nullableVersions`. */
export function nullableSince<T, I>(
  version: number,
  plain: Type<T, I>,
  nullable: Type<T | null, I | null>,
): Type<T | null, I | null> {
  return type<T | null, I | null>(plain.zero, {
    kind: 'versioned',
    version,
    before: plain.node,
    from: nullable.node,
  })
}

/** A struct that may be null: one byte (-1 null, 1 present; in a tag 0 null, 1 present) before it, as Kafka writes it. */
export function nullableStruct<T, I>(inner: Type<T, I>): Type<T | null, I | null> {
  return type<T | null, I | null>(null, { kind: 'nullableStruct', struct: inner.node })
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

export function struct<S extends Shape>(shape: S): Type<StructRead<S>, StructWrite<S>> {
  const fields = Object.entries(shape).map(([name, f]) => fieldNode(name, f))
  const zero = Object.freeze(Object.fromEntries(fields.map(f => [f.name, f.otherwise])))
  return type<StructRead<S>, StructWrite<S>>(zero as StructRead<S>, { kind: 'struct', fields })
}

function fieldNode(name: string, f: Shape[string]): FieldNode {
  if ('field' in f) return { ...f, name, type: f.type.node, required: false }
  const always = { since: 0, until: 32767, tag: null, ignorable: false }
  return { ...always, name, type: f.node, otherwise: f.zero, required: true }
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
