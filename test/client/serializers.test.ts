/** Serializers: what is written is read, in the bytes of Kafka's own; what does not fit is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SerializerError } from '../../client/errors.ts'
import {
  bytes,
  double,
  int32,
  int64,
  json,
  type Serializer,
  string,
  uuid,
} from '../../client/serializers.ts'

function check<T>(serializer: Serializer<T>, value: T, hex: string): void {
  const written = serializer.serialize(value, 't')
  const buffer = typeof written === 'string' ? Buffer.from(written) : Buffer.from(written)
  assert.equal(buffer.toString('hex'), hex)
  assert.deepEqual(serializer.deserialize(buffer, 't'), value)
}

test('values are written as by the serializers of the Java clients', () => {
  check(string, 'ä', 'c3a4')
  check(bytes, Buffer.from([1, 2]), '0102')
  check(json<{ a: number }>(), { a: 1 }, '7b2261223a317d')
  check(int32, -2, 'fffffffe')
  check(int64, 2n ** 62n, '4000000000000000')
  check(double, 1.5, '3ff8000000000000')
  const id = '0b8c1d2e-0000-4000-8000-00000000000f'
  check(uuid, id, Buffer.from(id).toString('hex'))
})

test('the limits of numbers hold on both sides', () => {
  check(int32, 2 ** 31 - 1, '7fffffff')
  assert.throws(() => int32.serialize(2 ** 31, 't'), SerializerError)
  assert.throws(() => int32.serialize(0.5, 't'), SerializerError)
  check(int64, -(2n ** 63n), '8000000000000000')
  assert.throws(() => int64.serialize(2n ** 63n, 't'), SerializerError)
})

test('bytes of another size or kind are refused', () => {
  assert.throws(() => int32.deserialize(Buffer.alloc(3), 't'), /int32 takes 4 bytes, there are 3/)
  assert.throws(() => int64.deserialize(Buffer.alloc(9), 't'), SerializerError)
  assert.throws(() => double.deserialize(Buffer.alloc(0), 't'), SerializerError)
  assert.throws(() => json().deserialize(Buffer.from('{'), 't'), SerializerError)
  assert.throws(() => json<unknown>().serialize(undefined, 't'), SerializerError)
  assert.throws(() => uuid.serialize('no', 't'), SerializerError)
  assert.throws(() => uuid.deserialize(Buffer.from('no'), 't'), SerializerError)
})
