/** The schema language: what each word does on the wire, at the versions where it begins and ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedError, Reader, Writer } from '../../protocol/buffer.ts'
import { MAX_ITEMS } from '../../protocol/compile.ts'
import {
  api,
  array,
  between,
  bytes,
  type Infer,
  ignorable,
  int8,
  int16,
  int32,
  isFlexible,
  nullableArray,
  nullableBytes,
  nullableSince,
  nullableString,
  nullableStruct,
  optional,
  since,
  string,
  struct,
  type Type,
  tagged,
  until,
} from '../../protocol/schema.ts'
import { interpreted } from './interpreter.ts'

/** The bytes as hex; checks on the way that compiled and interpreted code agree, in what they refuse as well. */
function write<T, I>(type: Type<T, I>, value: I, version = 0, flexible = false): string {
  const oracle = new Writer()
  const codec = interpreted(type, version, flexible)
  const writer = new Writer()
  try {
    type.at(version, flexible).write(writer, value)
  } catch (error) {
    assert.throws(() => codec.write(oracle, value), 'the oracle accepts what was refused')
    throw error
  }
  codec.write(oracle, value)
  assert.deepEqual(writer.bytes(), oracle.bytes())
  return writer.bytes().toString('hex')
}

function read<T, I>(type: Type<T, I>, hex: string, version = 0, flexible = false): T {
  const bytes = Buffer.from(hex, 'hex')
  const codec = interpreted(type, version, flexible)
  const reader = new Reader(bytes)
  let value: T
  try {
    value = type.at(version, flexible).read(reader)
  } catch (error) {
    assert.throws(() => codec.read(new Reader(bytes)), MalformedError)
    throw error
  }
  assert.equal(reader.remaining, 0)
  assert.deepEqual(codec.read(new Reader(bytes)), value)
  return value
}

test('fields are written in the order in which they stand', () => {
  const type = struct({ a: int8, b: int16, c: string })
  assert.equal(write(type, { c: 'x', b: 2, a: 1 }), '010002000178')
  assert.deepEqual(read(type, '010002000178'), { a: 1, b: 2, c: 'x' })
})

test('a field exists from its first version to its last, both inclusive', () => {
  const type = struct({ a: since(2, int8, 7), b: until(3, int8), c: between(2, 3, int8, 9) })
  assert.equal(write(type, { b: 1 }, 1), '01')
  assert.equal(write(type, { a: 3, b: 1, c: 4 }, 2), '030104')
  assert.equal(write(type, { a: 3, b: 1, c: 4 }, 3), '030104')
  assert.equal(write(type, { a: 3 }, 4), '03')
  assert.deepEqual(read(type, '01', 1), { a: 7, b: 1, c: 9 })
  assert.deepEqual(read(type, '030104', 2), { a: 3, b: 1, c: 4 })
  assert.deepEqual(read(type, '030104', 3), { a: 3, b: 1, c: 4 })
  assert.deepEqual(read(type, '03', 4), { a: 3, b: 0, c: 9 })
})

test('a field with a default may be left out; any other may not', () => {
  const type = struct({ a: int8, b: optional(int8, 5), c: since(1, int8, 6) })
  assert.equal(write(type, { a: 1 }, 1), '010506')
  assert.equal(write(type, { a: 1, b: undefined }, 1), '010506')
  // @ts-expect-error: `a` has no default
  assert.throws(() => write(type, { b: 1 }, 1), { message: 'field a is missing' })
  // @ts-expect-error: a misspelled field
  assert.throws(() => write(type, { A: 1 }, 1), TypeError)
})

test('a value that a version cannot carry is refused, unless it is the default or ignorable', () => {
  const type = struct({ a: since(1, int8, 7), b: ignorable(since(1, int8, 7)) })
  assert.equal(write(type, { a: 7 }, 0), '')
  assert.equal(write(type, { b: 8 }, 0), '')
  assert.throws(() => write(type, { a: 8 }, 0), {
    message: 'field a does not exist in this version and may not be dropped',
  })
  assert.equal(write(type, { a: 8, b: 9 }, 1), '0809')
})

test('empty arrays, empty bytes and structs of defaults count as the default', () => {
  const inner = struct({ x: optional(int8, -1) })
  const type = struct({ a: since(1, array(int8)), b: since(1, bytes), c: tagged(0, 1, inner) })
  assert.equal(write(type, { a: [], b: Buffer.alloc(0), c: { x: -1 } }, 0), '')
  assert.equal(write(type, { c: {} }, 0), '')
  assert.throws(() => write(type, { a: [1] }, 0), TypeError)
  assert.throws(() => write(type, { b: Buffer.alloc(1) }, 0), TypeError)
  assert.throws(() => write(type, { c: { x: 0 } }, 0), TypeError)
  assert.throws(() => write(type, { c: { x: 0 } }, 0, true), TypeError)
})

test('each read gets an array of its own where the array is absent', () => {
  const type = struct({ a: since(1, array(int8)), b: tagged(0, 0, array(int8)) })
  const codec = type.at(0, true)
  const first = codec.read(new Reader(Buffer.from([0])))
  first.a.push(1)
  first.b.push(1)
  assert.deepEqual(codec.read(new Reader(Buffer.from([0]))), { a: [], b: [] })
})

test('tagged fields are written in the order of their tags, and not at all if default', () => {
  const type = struct({
    b: tagged(3, 1, int8, -1),
    plain: int8,
    a: tagged(1, 1, nullableString, null),
  })
  assert.equal(write(type, { plain: 1 }, 1, true), '0100')
  assert.equal(write(type, { plain: 1, a: null, b: -1 }, 1, true), '0100')
  assert.equal(write(type, { plain: 1, a: 'x', b: 2 }, 1, true), '01020102027803' + '0102')
  assert.deepEqual(read(type, '01020102027803' + '0102', 1, true), { b: 2, plain: 1, a: 'x' })
  assert.deepEqual(read(type, '0100', 1, true), { b: -1, plain: 1, a: null })
})

test('a tagged field is absent before its version and in versions that are not flexible', () => {
  const type = struct({ a: ignorable(tagged(0, 2, int8)), b: tagged(1, 2, int8) })
  assert.equal(write(type, { a: 5 }, 1, true), '00')
  assert.equal(write(type, { a: 5 }, 2, false), '')
  assert.throws(() => write(type, { b: 5 }, 1, true), TypeError)
  assert.throws(() => write(type, { b: 5 }, 2, false), TypeError)
  assert.equal(write(type, { a: 5, b: 6 }, 2, true), '02' + '000105' + '010106')
})

test('unknown tags are skipped, in structs with and without tags of their own', () => {
  const without = struct({ a: int8 })
  assert.deepEqual(read(without, '01' + '02' + '0701ff' + '0800', 0, true), { a: 1 })
  const having = struct({ a: int8, b: tagged(1, 0, int8) })
  assert.deepEqual(read(having, '01' + '03' + '0000' + '010109' + '6302ffff', 0, true), {
    a: 1,
    b: 9,
  })
  // A tag of a later version is unknown as well.
  const later = struct({ b: tagged(1, 5, int8) })
  assert.deepEqual(read(later, '01' + '010109', 4, true), { b: 0 })
})

test('a tag whose size is wrong is malformed', () => {
  const type = struct({ a: tagged(0, 0, int16) })
  assert.deepEqual(read(type, '01' + '00020102', 0, true), { a: 258 })
  assert.throws(() => read(type, '01' + '000301' + '0203', 0, true), MalformedError)
  assert.throws(() => read(type, '01' + '000101', 0, true), MalformedError)
  assert.throws(() => read(type, '01' + '0005' + '0102', 0, true), MalformedError)
  assert.throws(() => read(type, '02' + '00020102', 0, true), MalformedError)
})

test('null is length -1, or 0 in compact form, where null is allowed', () => {
  const rows = [
    [nullableString, 'ffff'],
    [nullableBytes, 'ffffffff'],
    [nullableArray(int8), 'ffffffff'],
  ] as const
  for (const [type, plain] of rows) {
    const one = struct({ x: type as typeof nullableString })
    assert.equal(write(one, { x: null }), plain)
    assert.equal(write(one, { x: null }, 0, true), '0000')
    assert.deepEqual(read(one, plain), { x: null })
    assert.deepEqual(read(one, '0000', 0, true), { x: null })
    assert.throws(() => read(one, plain.replace(/ff$/, 'fe')), MalformedError)
  }
})

test('null is refused, to write and to read, where it is not allowed', () => {
  const rows = [
    [string, 'ffff'],
    [bytes, 'ffffffff'],
    [array(int8), 'ffffffff'],
  ] as const
  for (const [type, plain] of rows) {
    const one = struct({ x: type as unknown as typeof nullableString })
    const refused = { message: 'null for x, which may not be null' }
    assert.throws(() => write(one, { x: null }), refused)
    assert.throws(() => write(one, { x: null }, 0, true), refused)
    assert.throws(() => read(one, plain), MalformedError)
    assert.throws(() => read(one, '0000', 0, true), MalformedError)
  }
})

test('nullableSince allows null from its version on', () => {
  const type = struct({ x: nullableSince(2, string, nullableString) })
  assert.throws(() => write(type, { x: null }, 1), TypeError)
  assert.throws(() => read(type, 'ffff', 1), MalformedError)
  assert.equal(write(type, { x: null }, 2), 'ffff')
  assert.deepEqual(read(type, 'ffff', 2), { x: null })
})

test('a struct that may be null has a byte before it', () => {
  const type = struct({ x: optional(nullableStruct(struct({ a: int8 })), null) })
  assert.equal(write(type, {}), 'ff')
  assert.equal(write(type, { x: { a: 3 } }), '0103')
  assert.deepEqual(read(type, 'ff'), { x: null })
  assert.deepEqual(read(type, '0103'), { x: { a: 3 } })
})

test('in a tag, a struct that may be null has 0 before null and 1 before itself', () => {
  const type = struct({ x: tagged(0, 0, nullableStruct(struct({ a: int8 })), { a: 0 }) })
  for (const [hex, x] of [
    ['00', { a: 0 }],
    ['01000100', null],
    ['0100030103'.concat('00'), { a: 3 }],
  ] as const) {
    assert.equal(write(type, { x }, 0, true), hex)
    assert.deepEqual(read(type, hex, 0, true), { x })
  }
})

test('an array longer than the bytes that are left is malformed before anything is allocated', () => {
  const type = array(struct({ a: int32 }))
  for (const hex of ['7fffffff', '00000001', '80000000', 'fffffffe']) {
    assert.throws(() => read(type, hex), MalformedError)
  }
  assert.throws(() => read(type, 'ffffffff0f', 0, true), MalformedError)
  assert.deepEqual(read(type, '0000000100000009'), [{ a: 9 }])
})

test('a message has at most MAX_ITEMS array items, nested ones and tagged ones included', () => {
  const flat = Buffer.alloc(4 + MAX_ITEMS + 1)
  flat.writeInt32BE(MAX_ITEMS)
  assert.equal(array(int8).at(0, false).read(new Reader(flat)).length, MAX_ITEMS)
  flat.writeInt32BE(MAX_ITEMS + 1)
  assert.throws(() => array(int8).at(0, false).read(new Reader(flat)), MalformedError)

  // The outer array counts one item, its inner array the rest; after it come the tags.
  const nested = struct({ a: array(array(int8)), b: tagged(0, 0, array(int8)) }).at(0, true)
  const writer = new Writer()
  const write = (inner: number, last: readonly number[]) => {
    writer.position = 0
    nested.write(writer, { a: [new Array<number>(inner).fill(0)], b: last })
    return new Reader(writer.bytes())
  }
  assert.equal(nested.read(write(MAX_ITEMS - 2, [1])).b.length, 1)
  assert.throws(() => nested.read(write(MAX_ITEMS - 2, [1, 2])), MalformedError)
  assert.throws(() => nested.read(write(MAX_ITEMS, [])), MalformedError)
})

test('strings keep their length at every change of its encoding', () => {
  const type = struct({ x: string })
  for (const length of [0, 1, 39, 40, 41, 126, 127, 128, 16382, 16383, 16384, 32767]) {
    for (const unit of ['a', 'é']) {
      const x = unit.repeat(length / Buffer.byteLength(unit))
      for (const flexible of [false, true]) {
        assert.deepEqual(read(type, write(type, { x }, 0, flexible), 0, flexible), { x })
      }
    }
  }
  // One character that is not ASCII, late in a short string, must not leave half of it behind.
  assert.equal(write(type, { x: 'abcé' }), '0005616263c3a9')
  assert.equal(write(type, { x: 'abcé' }, 0, true), '06616263c3a900')
})

test('a string of more than 32767 bytes needs a flexible version', () => {
  const type = struct({ x: string })
  const x = 'a'.repeat(32768)
  assert.throws(() => write(type, { x }), TypeError)
  assert.deepEqual(read(type, write(type, { x }, 0, true), 0, true), { x })
})

test('a codec is compiled once for each version and kept', () => {
  const type = struct({ a: since(1, int8) })
  assert.equal(type.at(0, false), type.at(0, false))
  assert.notEqual(type.at(0, false), type.at(1, false))
  assert.notEqual(type.at(1, false), type.at(1, true))
})

test('a field name that is no identifier is refused', () => {
  const type = struct({ 'a-b': int8 })
  assert.throws(() => type.at(0, false), { message: "'a-b' is no field name" })
})

test('an API advertises the versions it knows, unless it says otherwise', () => {
  const empty = struct({})
  const shape = { key: 1, name: 'X', versions: [1, 3], request: empty, response: empty } as const
  assert.deepEqual(api({ ...shape, flexible: 2 }).advertised, [1, 3])
  assert.deepEqual(api({ ...shape, flexible: 2, advertised: [0, 3] }).advertised, [0, 3])
  assert.equal(isFlexible({ flexible: 2 }, 1), false)
  assert.equal(isFlexible({ flexible: 2 }, 2), true)
  assert.equal(isFlexible({ flexible: null }, 99), false)
})

test('types are inferred: what is read has every field, nulls only where they may be', () => {
  const type = struct({ a: since(1, int8), b: nullableString, c: array(struct({ d: string })) })
  const value: Infer<typeof type> = { a: 1, b: null, c: [{ d: '' }] }
  const a: number = value.a
  const b: string | null = value.b
  const d: string | undefined = value.c[0]?.d
  assert.deepEqual([a, b, d], [1, null, ''])
  // @ts-expect-error: `c` may not be null
  const wrong: Infer<typeof type> = { a: 1, b: null, c: null }
  assert.ok(wrong)
})
