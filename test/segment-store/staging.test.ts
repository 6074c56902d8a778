/** The arena: runs are joined, blocks reused only when nobody waits for them, large batches on their own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STAGING_BLOCK_BYTES, StagedRuns, Staging } from '../../segment-store/staging.ts'

function text(runs: StagedRuns): string[] {
  return runs.chunks().map(chunk => chunk.toString())
}

test('neighbours of one log are one chunk, other logs in between make two', () => {
  const staging = new Staging(100)
  const a = new StagedRuns(staging)
  const b = new StagedRuns(staging)
  a.add(Buffer.from('one'))
  a.add(Buffer.from('two'))
  b.add(Buffer.from('other'))
  a.add(Buffer.from('three'))
  assert.deepEqual(text(a), ['onetwo', 'three'])
  assert.deepEqual(text(b), ['other'])
})

test('a log that wrote several batches at a time keeps room for as many, others go behind it', () => {
  const staging = new Staging(100)
  const a = new StagedRuns(staging)
  const b = new StagedRuns(staging)
  a.add(Buffer.from('1111111111'))
  a.add(Buffer.from('2222222222'))
  a.clear()
  a.add(Buffer.from('one'))
  b.add(Buffer.from('other'))
  a.add(Buffer.from('two'))
  b.add(Buffer.from('another'))
  assert.deepEqual(text(a), ['onetwo'])
  assert.deepEqual(text(b), ['otheranother'])
  a.add(Buffer.from('fourteen bytes'))
  assert.deepEqual(text(a), ['onetwofourteen bytes'], 'all of its room')
  a.add(Buffer.from('more'))
  assert.deepEqual(text(a), ['onetwofourteen bytes', 'more'])
  assert.deepEqual(text(b), ['otheranother'])
})

test('the room that a log keeps is bounded, and never beyond its block', () => {
  const room = (blockBytes: number) => {
    const staging = new Staging(blockBytes)
    const a = new StagedRuns(staging)
    const b = new StagedRuns(staging)
    a.add(Buffer.alloc(blockBytes - 1))
    a.clear()
    a.add(Buffer.from('a'))
    b.add(Buffer.from('b'))
    assert.deepEqual(text(b), ['b'])
    return a.lastBlock === b.lastBlock ? b.lastBlock.used - 1 : blockBytes
  }
  assert.equal(room(STAGING_BLOCK_BYTES), 16_384)
  assert.equal(room(100), 99)
})

test('a block is filled again only after every run in it was written', () => {
  const staging = new Staging(10)
  const a = new StagedRuns(staging)
  const b = new StagedRuns(staging)
  a.add(Buffer.from('aaaaa'))
  b.add(Buffer.from('bbbbb'))
  const first = a.lastBlock
  a.add(Buffer.from('AAAAA'))
  a.clear()
  assert.deepEqual(text(b), ['bbbbb'])
  b.add(Buffer.from('BBBBB'))
  assert.deepEqual(text(b), ['bbbbb', 'BBBBB'])
  assert.notEqual(b.lastBlock, first)
  b.clear()
  assert.equal(b.isEmpty, true)
  a.add(Buffer.from('123456'))
  a.add(Buffer.from('7890ab'))
  assert.deepEqual(text(a), ['123456', '7890ab'])
})

test('a batch of exactly a block fits one, a larger one gets its own', () => {
  const staging = new Staging(10)
  const runs = new StagedRuns(staging)
  runs.add(Buffer.alloc(10, 'x'))
  runs.add(Buffer.alloc(11, 'y'))
  runs.add(Buffer.from('z'))
  assert.deepEqual(text(runs), ['x'.repeat(10), 'y'.repeat(11), 'z'])
  runs.clear()
  assert.throws(() => staging.unpin(staging.blockFor(1)))
})
