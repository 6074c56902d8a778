/** The commands as a person at a terminal meets them: what is refused before anything runs, and what a run says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startBroker } from '../../broker/embedded.ts'
import { cli } from '../cli/run-cli.ts'

/** Nobody listens there. */
const NOWHERE = '127.0.0.1:1'

test('a cluster that cannot be reached is said at once, also the second of two', async () => {
  const broker = await startBroker()
  try {
    const alone = await cli(['bench', 'steady', '--bootstrap', NOWHERE])
    assert.equal(alone.code, 3)
    assert.match(alone.err, /^ottla: cannot connect to 127\.0\.0\.1:1 \(ECONNREFUSED\)/)
    const seen: string[] = []
    const status = (text: string) => seen.push(text)
    const both = await cli(['bench', 'compare', broker.bootstrap, NOWHERE], [], { status })
    assert.equal(both.code, 3)
    assert.match(both.err, /^ottla: cannot connect to 127\.0\.0\.1:1 \(ECONNREFUSED\)/)
    assert.deepEqual(seen, [], 'nothing was run')
  } finally {
    await broker.stop()
  }
})

test('wrong usage', async () => {
  for (const [args, message] of [
    [['steady', '--rate', '-5'], /'--rate <records\/s>' argument '-5' is invalid/],
    [['stedy'], /there is no workload 'stedy', and it is no file/],
    [['./no-such.yaml'], /cannot read '\.\/no-such\.yaml': there is no such file or folder/],
    [['micro', 'nosuch'], /no piece has 'nosuch' in its name/],
    [['compare', 'a:1'], /missing required argument 'b'/],
  ] as const) {
    const { code, out, err } = await cli(['bench', ...args])
    assert.deepEqual([code, out], [2, ''], err)
    assert.match(err, message)
  }
})
