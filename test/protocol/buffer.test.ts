/** Primitive types at their edges: what is written reads back, and nothing is read past the end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { INT64_MAX, MalformedError, Reader, Writer, ZERO_UUID } from '../../protocol/buffer.ts'
import { chooseSeed, tier } from '../tiers.ts'

function written(write: (w: Writer) => void): Buffer {
  const writer = new Writer(1)
  write(writer)
  return writer.bytes()
}

/** Asserts that `write` gives exactly these bytes and that `read` takes them all and gives `expected`. */
function assertBoth<T>(
  hex: string,
  write: (w: Writer) => void,
  read: (r: Reader) => T,
  expected: T,
): void {
  assert.equal(written(write).toString('hex'), hex)
  const reader = new Reader(Buffer.from(hex, 'hex'))
  assert.deepEqual(read(reader), expected)
  assert.equal(reader.remaining, 0)
}

const malformed = (hex: string, read: (r: Reader) => unknown) =>
  assert.throws(() => read(new Reader(Buffer.from(hex, 'hex'))), MalformedError)

test('fixed-width integers keep their sign at both ends', () => {
  const rows = [
    ['int8', -128, '80'],
    ['int8', 127, '7f'],
    ['int16', -32768, '8000'],
    ['int16', -1, 'ffff'],
    ['int16', 32767, '7fff'],
    ['uint16', 65535, 'ffff'],
    ['int32', -2147483648, '80000000'],
    ['int32', 2147483647, '7fffffff'],
    ['uint32', 4294967295, 'ffffffff'],
    ['uint32', 2147483648, '80000000'],
  ] as const
  for (const [type, value, hex] of rows) {
    assertBoth(
      hex,
      w => w[type](value),
      r => r[type](),
      value,
    )
  }
})

test('64-bit integers are exact to 2^53 and at the powers of two beyond', () => {
  const rows: readonly (readonly [number, string])[] = [
    [0, '0000000000000000'],
    [-1, 'ffffffffffffffff'],
    [0xffffffff, '00000000ffffffff'],
    [0x100000000, '0000000100000000'],
    [-0x100000000, 'ffffffff00000000'],
    [-0x100000001, 'fffffffeffffffff'],
    [2 ** 53 - 1, '001fffffffffffff'],
    [2 ** 53, '0020000000000000'],
    [-(2 ** 53), 'ffe0000000000000'],
    [2 ** 62, '4000000000000000'],
    [-INT64_MAX, '8000000000000000'],
    [INT64_MAX, '7fffffffffffffff'],
  ]
  for (const [value, hex] of rows) {
    assertBoth(
      hex,
      w => w.int64(value),
      r => r.int64(),
      value,
    )
  }
})

test('64-bit integers above 2^53 lose low bits when read but still compare rightly', () => {
  const read = (hex: string) => new Reader(Buffer.from(hex, 'hex')).int64()
  assert.equal(read('0020000000000001'), 2 ** 53)
  assert.ok(read('0020000000000003') > read('0020000000000000'))
  assert.ok(read('7ffffffffffffffe') <= INT64_MAX)
  assert.ok(read('8000000000000001') < 0)
})

test('a number that is no 64-bit integer is our bug and asserts', () => {
  for (const value of [0.5, Number.NaN, -(2 ** 64), Number.NEGATIVE_INFINITY]) {
    assert.throws(() => new Writer().int64(value), { code: 'ERR_ASSERTION' })
  }
  assert.throws(() => new Writer().uvarint(-1), { code: 'ERR_ASSERTION' })
  assert.throws(() => new Writer().varlong(2 ** 53), { code: 'ERR_ASSERTION' })
})

test('float64, boolean and UUID have the bytes Kafka gives them', () => {
  assertBoth(
    'c000000000000000',
    w => w.float64(-2),
    r => r.float64(),
    -2,
  )
  assertBoth(
    '01',
    w => w.boolean(true),
    r => r.boolean(),
    true,
  )
  assert.equal(new Reader(Buffer.from([2])).boolean(), true)
  assertBoth(
    '00'.repeat(16),
    w => w.uuid(ZERO_UUID),
    r => r.uuid(),
    ZERO_UUID,
  )
  assertBoth(
    'fb'.repeat(16),
    w => w.uuid('-_v7-_v7-_v7-_v7-_v7-w'),
    r => r.uuid(),
    '-_v7-_v7-_v7-_v7-_v7-w',
  )
  assert.throws(() => new Writer().uuid('short'), { code: 'ERR_ASSERTION' })
})

test('unsigned varints change length at every 7 bits', () => {
  const rows: readonly (readonly [number, string])[] = [
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [16383, 'ff7f'],
    [16384, '808001'],
    [2097151, 'ffff7f'],
    [2097152, '80808001'],
    [268435455, 'ffffff7f'],
    [268435456, '8080808001'],
    [4294967295, 'ffffffff0f'],
  ]
  for (const [value, hex] of rows) {
    assertBoth(
      hex,
      w => w.uvarint(value),
      r => r.uvarint(),
      value,
    )
  }
})

test('zig-zag varints alternate between the signs', () => {
  const rows: readonly (readonly [number, string])[] = [
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [63, '7e'],
    [-64, '7f'],
    [64, '8001'],
    [-65, '8101'],
    [2147483647, 'feffffff0f'],
    [-2147483648, 'ffffffff0f'],
  ]
  for (const [value, hex] of rows) {
    assertBoth(
      hex,
      w => w.varint(value),
      r => r.varint(),
      value,
    )
    // A varlong of the same value has the same bytes.
    assertBoth(
      hex,
      w => w.varlong(value),
      r => r.varlong(),
      value,
    )
  }
})

test('varlongs reach past 32 bits, to 10 bytes', () => {
  const rows: readonly (readonly [number, string])[] = [
    [2147483648, '8080808010'],
    [-2147483649, '8180808010'],
    [2 ** 34 - 1, 'feffffff7f'],
    [2 ** 34, '808080808001'],
    [2 ** 53 - 1, 'feffffffffffff1f'],
    [-(2 ** 53) + 1, 'fdffffffffffff1f'],
  ]
  for (const [value, hex] of rows) {
    assertBoth(
      hex,
      w => w.varlong(value),
      r => r.varlong(),
      value,
    )
  }
  const read = (hex: string) => new Reader(Buffer.from(hex, 'hex')).varlong()
  assert.equal(read('feffffffffffffffff01'), INT64_MAX)
  assert.equal(read('ffffffffffffffffff01'), -INT64_MAX)
})

test('a varint of 5 bytes and a varlong of 10 are read; one byte more is malformed', () => {
  assert.equal(new Reader(Buffer.from('8080808000', 'hex')).uvarint(), 0)
  malformed('808080808000', r => r.uvarint())
  malformed('808080808000', r => r.varint())
  assert.equal(new Reader(Buffer.from(`${'80'.repeat(9)}00`, 'hex')).varlong(), 0)
  malformed(`${'80'.repeat(10)}00`, r => r.varlong())
})

test('every read past the end is malformed, and so is a negative length', () => {
  const reads: readonly ((r: Reader) => unknown)[] = [
    r => r.int8(),
    r => r.boolean(),
    r => r.uvarint(),
    r => r.varlong(),
    r => r.text(1),
    r => r.view(1),
  ]
  for (const read of reads) malformed('', read)
  malformed('00', r => r.int16())
  malformed('00', r => r.uint16())
  malformed('000000', r => r.int32())
  malformed('00000000000000', r => r.int64())
  malformed('00000000000000', r => r.float64())
  malformed('00'.repeat(15), r => r.uuid())
  malformed('80', r => r.uvarint())
  malformed('80', r => r.varint())
  malformed('00', r => r.text(-1))
  malformed('00', r => r.skip(-1))
})

test('a reader of a part of a buffer stops at the end of the part', () => {
  const reader = new Reader(Buffer.from('0102030405', 'hex'), 1, 3)
  assert.equal(reader.remaining, 2)
  assert.equal(reader.uvarint(), 2)
  assert.equal(reader.int8(), 3)
  assert.throws(() => reader.int8(), MalformedError)
  assert.throws(() => reader.uvarint(), MalformedError)
  assert.throws(() => reader.view(1), MalformedError)
})

test('a view shares memory with what is read', () => {
  const source = Buffer.from('0102', 'hex')
  const view = new Reader(source).view(2)
  source[0] = 9
  assert.equal(view[0], 9)
})

test('text is UTF-8; ascii refuses all else and writes nothing', () => {
  for (const value of ['', 'orders', 'Größe', '漢字', '🚀'.repeat(20)]) {
    const bytes = written(w => w.text(value))
    assert.equal(bytes.toString('utf8'), value)
    assert.equal(new Reader(bytes).text(bytes.length), value)
    const writer = new Writer(1)
    const isAscii = Buffer.byteLength(value) === value.length
    assert.equal(writer.ascii(value), isAscii)
    assert.equal(writer.bytes().toString('utf8'), isAscii ? value : '')
  }
})

test('a writer grows as often as it must and keeps what it has', () => {
  const writer = new Writer(1)
  for (let i = 0; i < 1000; i++) writer.int32(i)
  const reader = new Reader(writer.bytes())
  for (let i = 0; i < 1000; i++) assert.equal(reader.int32(), i)
  assert.equal(reader.remaining, 0)
})

test('a gathering writer keeps large byte fields by reference, in order', () => {
  const large = Buffer.alloc(5000, 1)
  const small = Buffer.alloc(10, 2)
  const writer = new Writer(16, true)
  writer.raw(large)
  writer.int8(7)
  writer.raw(small)
  writer.raw(large)
  writer.int8(8)
  const chunks = writer.chunks()
  assert.equal(chunks[0], large)
  assert.equal(chunks[2], large)
  const plain = Buffer.concat([large, Buffer.from([7]), small, large, Buffer.from([8])])
  assert.deepEqual(Buffer.concat(chunks), plain)
  assert.equal(writer.position + writer.gatheredBytes, plain.length)
})

test('varints of any value read back', t => {
  const seed = chooseSeed()
  t.diagnostic(`seed ${seed}`)
  const run = <T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => void) =>
    fc.assert(fc.property(arbitrary, check), { seed, numRuns: tier.propertyRuns })
  run(fc.integer(), value => {
    assert.equal(new Reader(written(w => w.varint(value))).varint(), value)
    assert.equal(new Reader(written(w => w.uvarint(value >>> 0))).uvarint(), value >>> 0)
  })
  run(fc.maxSafeInteger(), value => {
    assert.equal(new Reader(written(w => w.varlong(value))).varlong(), value)
    assert.equal(new Reader(written(w => w.int64(value))).int64(), value)
    const expected = Buffer.alloc(8)
    expected.writeBigInt64BE(BigInt(value))
    assert.deepEqual(
      written(w => w.int64(value)),
      expected,
    )
  })
})
