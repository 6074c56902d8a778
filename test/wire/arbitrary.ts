/** Arbitrary values (fast-check) of a type in one version, made from the schema's description of it. */
import fc from 'fast-check'
import { INT64_MAX } from '../../protocol/buffer.ts'
import { isPresent, type Node, type Primitive } from '../../protocol/compile.ts'

const primitives: { readonly [P in Primitive]: fc.Arbitrary<unknown> } = {
  boolean: fc.boolean(),
  int8: fc.integer({ min: -128, max: 127 }),
  int16: fc.integer({ min: -32768, max: 32767 }),
  uint16: fc.nat({ max: 65535 }),
  int32: fc.integer(),
  uint32: fc.nat({ max: 0xffffffff }),
  int64: fc.oneof(
    { weight: 9, arbitrary: fc.maxSafeInteger() },
    { weight: 1, arbitrary: fc.constantFrom(INT64_MAX, -INT64_MAX, 2 ** 53, -(2 ** 53)) },
  ),
  float64: fc.double({ noNaN: true }),
  uuid: fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map(bytes => Buffer.from(bytes).toString('base64url')),
}

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const bytes = fc.uint8Array({ maxLength: 20 }).map(array => Buffer.from(array))

/** All fields of the version are there; fields that the version lacks have their defaults. */
export function arbitraryOf(node: Node, version: number, flexible: boolean): fc.Arbitrary<unknown> {
  const inner = (of: Node) => arbitraryOf(of, version, flexible)
  const maybeNull = (nullable: boolean, of: fc.Arbitrary<unknown>) =>
    nullable ? fc.option(of, { freq: 3 }) : of
  switch (node.kind) {
    case 'primitive':
      return primitives[node.method]
    case 'string':
      return maybeNull(node.nullable, text)
    case 'bytes':
      return maybeNull(node.nullable, bytes)
    case 'array':
      return maybeNull(node.nullable, fc.array(inner(node.item), { maxLength: 3 }))
    case 'nullableStruct':
      return maybeNull(true, inner(node.struct))
    case 'versioned':
      return inner(version < node.version ? node.before : node.from)
    case 'struct': {
      const fields = node.fields.map(field => [
        field.name,
        isPresent(field, version, flexible) ? inner(field.type) : fc.constant(field.otherwise),
      ])
      return fc.record(Object.fromEntries(fields), { noNullPrototype: true })
    }
  }
}
