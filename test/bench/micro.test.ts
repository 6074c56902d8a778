/** The pieces run, and a slower one is found. What they cost is not tested: that is `npm run bench:check`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MICROS, runMicros, slowerThan, TOLERANCE } from '../../bench/micro.ts'

test('every piece can be done, and done again', async () => {
  for (const { name, make } of MICROS) {
    for (let sample = 0; sample < 2; sample++) {
      const piece = await make()
      piece(100)
      piece(3)
    }
    assert.notEqual(name, '')
  }
})

test('slower than the tolerance, or without a baseline, is told; the rest is not', () => {
  const result = (name: string, ratio: number) => ({ name, micros: 1, ratio })
  assert.deepEqual(slowerThan([result('a', 2 * TOLERANCE), result('b', 0.1)], { a: 2, b: 2 }), [])
  const [slow, unknown] = slowerThan([result('a', 2 * TOLERANCE + 0.1), result('c', 1)], { a: 2 })
  assert.match(slow ?? '', /^a: 3\.100 of the calibration, 1\.55 times the 2 it was$/)
  assert.equal(unknown, 'c has no ratio in the baseline')
})

test('a piece that there is not is an error, and no empty table', async () => {
  await assert.rejects(runMicros('none', ['fetch', 'nosuch']), {
    name: 'UsageError',
    message: /^no piece has 'nosuch' in its name\. There are 'crc of 16 KB', /,
  })
})
