/** What an idempotent producer may send next, what is recognised as repeated, and that a snapshot keeps it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MalformedError } from '../../protocol/buffer.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { ProducerStates } from '../../segment-store/producer-state.ts'

const DAY = 86_400_000

function states(): ProducerStates {
  return new ProducerStates(DAY)
}

/** Checks and appends a batch as a log would; answers the error's name, or the slot of the earlier batch. */
function send(
  producers: ProducerStates,
  epoch: number,
  firstSequence: number,
  count: number,
  offset: number,
): string {
  const known = producers.entry(7)
  const last = (firstSequence + count - 1) & 0x7fffffff
  const slot = known?.findDuplicate(epoch, firstSequence, last) ?? -1
  if (slot !== -1) return `duplicate of ${known!.baseOffsetOf(slot)}-${known!.lastOffsetOf(slot)}`
  try {
    producers.checkAppend(known, epoch, firstSequence, offset)
  } catch (error) {
    assert(error instanceof ProtocolError)
    return error.error
  }
  producers.append(7, epoch, last, offset + count - 1, count - 1, 1000 + offset, false)
  return 'ok'
}

test('sequences continue without gap or repeat', () => {
  const producers = states()
  assert.equal(send(producers, 0, 0, 10, 0), 'ok')
  assert.equal(send(producers, 0, 11, 1, 10), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.equal(send(producers, 0, 9, 1, 10), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.equal(send(producers, 0, 10, 5, 10), 'ok')
})

test('a producer that is not known may begin anywhere', () => {
  assert.equal(send(states(), 3, 500, 1, 0), 'ok')
})

test('the last five batches are recognised, the sixth is out of order', () => {
  const producers = states()
  for (let i = 0; i < 6; i++) assert.equal(send(producers, 0, i * 2, 2, 100 + i * 2), 'ok')
  for (let i = 1; i < 6; i++) {
    assert.equal(send(producers, 0, i * 2, 2, 900), `duplicate of ${100 + i * 2}-${101 + i * 2}`)
  }
  assert.equal(send(producers, 0, 0, 2, 900), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.equal(send(producers, 0, 10, 1, 900), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
})

test('a new epoch begins at zero and forgets the old batches; an old epoch is refused', () => {
  const producers = states()
  send(producers, 1, 0, 3, 0)
  assert.equal(send(producers, 2, 3, 1, 3), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.equal(send(producers, 2, 0, 3, 3), 'ok')
  assert.equal(send(producers, 1, 3, 1, 6), 'INVALID_PRODUCER_EPOCH')
  assert.equal(send(producers, 1, 0, 3, 6), 'INVALID_PRODUCER_EPOCH')
})

test('sequences go from 2^31 - 1 on to 0, also inside a batch', () => {
  const producers = states()
  assert.equal(send(producers, 0, 0x7fffffff - 4, 5, 0), 'ok')
  assert.equal(producers.entry(7)!.lastSequence, 0x7fffffff)
  assert.equal(send(producers, 0, 0, 1, 5), 'ok')
  const wrapping = states()
  assert.equal(send(wrapping, 0, 0x7ffffffe, 4, 0), 'ok')
  assert.equal(wrapping.entry(7)!.lastSequence, 1)
  assert.equal(send(wrapping, 0, 0x7ffffffe, 4, 9), 'duplicate of 0-3')
  assert.equal(send(wrapping, 0, 2, 1, 4), 'ok')
})

test('a snapshot keeps epochs, last batches and open transactions', () => {
  const producers = states()
  send(producers, 5, 0, 3, 10)
  send(producers, 5, 3, 2, 13)
  producers.append(9, 1, 4, 24, 4, 2000, true)
  producers.append(8, 1, 4, 34, 4, 2000, true)
  const loaded = states()
  loaded.loadSnapshot(producers.encodeSnapshot(), 2000)
  assert.equal(loaded.size, 3)
  assert.equal(loaded.firstUnstableOffset, 20)
  assert.equal(send(loaded, 5, 3, 2, 99), 'duplicate of 13-14')
  assert.equal(send(loaded, 5, 0, 3, 99), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.equal(send(loaded, 5, 5, 1, 99), 'ok')
  assert.equal(send(loaded, 5, 3, 2, 99), 'duplicate of 13-14')
  const aborted = loaded.endTransaction(9, 1, { isAbort: true, coordinatorEpoch: 0 }, 40, 2001)
  assert.deepEqual(aborted, {
    producerId: 9,
    firstOffset: 20,
    lastOffset: 40,
    lastStableOffset: 30,
  })
  assert.equal(loaded.endTransaction(8, 1, { isAbort: false, coordinatorEpoch: 0 }, 41, 2001), null)
  assert.equal(loaded.firstUnstableOffset, null)
})

test('a damaged snapshot is refused and changes nothing', () => {
  const producers = states()
  send(producers, 5, 0, 3, 10)
  const bytes = producers.encodeSnapshot()
  for (let i = 0; i < bytes.length; i++) {
    const damaged = Buffer.from(bytes)
    damaged[i] = damaged[i]! ^ 0x55
    assert.throws(() => producers.loadSnapshot(damaged, 0), MalformedError, `byte ${i}`)
    assert.throws(() => producers.loadSnapshot(bytes.subarray(0, i), 0), MalformedError, `cut ${i}`)
  }
  assert.equal(producers.size, 1)
})

test('producers expire a day after their last batch unless a transaction is open', () => {
  const producers = states()
  producers.append(1, 0, 0, 0, 0, 1000, false)
  producers.append(2, 0, 0, 1, 0, 1000, true)
  producers.removeExpired(1000 + DAY - 1)
  assert.equal(producers.size, 2)
  producers.removeExpired(1000 + DAY)
  assert.deepEqual(
    [...producers.entries()].map(({ producerId }) => producerId),
    [2],
  )
})

test('a hundred thousand producers with five batches each take less than 80 MB, and a snapshot of 4.6 MB', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = used()
  const producers = states()
  for (let i = 0; i < 5; i++) {
    for (let id = 0; id < 100_000; id++)
      producers.append(id, 0, i, i * 100_000 + id, 0, 1000, false)
  }
  const bytes = used() - before
  assert(bytes < 80e6, `${bytes} bytes`)
  const snapshot = producers.encodeSnapshot()
  assert.equal(snapshot.length, 10 + 46 * 100_000)
  const loaded = states()
  loaded.loadSnapshot(snapshot, 1000)
  assert.equal(loaded.size, 100_000)
  loaded.removeExpired(1000 + DAY)
  assert.equal(loaded.size, 0)
})
