/** When writes leave the event loop, and when they come back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DiskPace } from '../../segment-store/disk-pace.ts'

test('a single long write does not make the disk slow, nor do fast ones ever', () => {
  const pace = new DiskPace()
  for (let now = 0; now < 1000; now++) pace.wrote(100, 0.9, now)
  pace.wrote(100, 50, 1000)
  assert.equal(pace.isSlow(1000), false)
})

test('long writes that are rare enough are paid off', () => {
  const pace = new DiskPace()
  for (let now = 0; now < 10_000; now += 100) pace.wrote(100, 20, now)
  assert.equal(pace.switches, 0)
})

test('writes that keep the loop waiting make the disk slow', () => {
  const pace = new DiskPace()
  let now = 0
  for (; now < 60; now += 10) pace.wrote(100, 10, now)
  assert.equal(pace.switches, 0, 'not yet')
  pace.wrote(100, 10, now)
  assert.equal(pace.isSlow(now), true)
  assert.equal(pace.isSlow(now + 199), true)
  assert.equal(pace.isSlow(now + 200), false)
})

test('a large write may take longer than a small one', () => {
  const pace = new DiskPace()
  for (let now = 0; now < 1000; now += 1) pace.wrote(30_000_000, 20, now)
  assert.equal(pace.switches, 0)
})

test('slow times that follow closely get longer, up to a bound, and short again after a good time', () => {
  const pace = new DiskPace()
  const slowFrom = (start: number): number => {
    let now = start
    while (!pace.isSlow(now)) {
      pace.wrote(100, 40, now)
      now += 1
    }
    const began = now
    while (pace.isSlow(now)) now += 1
    return now - began
  }
  const lengths: number[] = []
  let now = 0
  for (let i = 0; i < 7; i++) {
    const length = slowFrom(now)
    lengths.push(Math.round(length / 100) * 100)
    now += length + 10
  }
  assert.deepEqual(lengths, [200, 400, 800, 1600, 3200, 3200, 3200])
  assert.equal(Math.round(slowFrom(now + 100_000) / 100) * 100, 200)
})
