/** The programs in examples/ run as they are, each twice against a broker of its own, and print what they should. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startBroker } from '../../broker/embedded.ts'

const PRINTED: Readonly<Record<string, string>> = {
  'orders.mjs': "true ada's orders lie in one partition\nada 8\nbob 4\n",
  'fan-out.mjs': 'billing 12, shipping 12\n',
  'retry.mjs': `paid: ok, attempt 1
paid: flaky, attempt 2
broken: 6 attempts
dead letter: broken, because broken failed, from payments 0 2
`,
  'at-least-once.mjs': `4 records, 3 keys: nothing is lost, one line was written twice
0-0 TO BE OR NOT
0-1 TO BE
0-2 THAT IS THE QUESTION
`,
  'from-kafkajs.mjs': `{
  topic: 'test-topic',
  partition: 0,
  offset: '0',
  key: 'greeting',
  value: 'Hello KafkaJS user!'
}
`,
}

const run = promisify(execFile)

for (const [name, printed] of Object.entries(PRINTED)) {
  test(`examples/${name}`, async () => {
    const broker = await startBroker()
    try {
      const args = [`examples/${name}`, broker.bootstrap]
      for (const offset of ['0', '1']) {
        const { stdout } = await run(process.execPath, args, { timeout: 60_000 })
        assert.equal(stdout, printed.replace("offset: '0'", `offset: '${offset}'`))
      }
    } finally {
      await broker.stop()
    }
  })
}

test('examples/test/node.test.mjs', () => {
  const env = { ...process.env }
  // Set for the files that node:test runs: a run inside a run reports to the outer one.
  delete env['NODE_TEST_CONTEXT']
  const args = ['--test', '--test-reporter=tap', 'examples/test/node.test.mjs']
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /# pass 2/)
})

test('every example is run, and listed', () => {
  const there = readdirSync('examples').filter(name => name.endsWith('.mjs'))
  assert.deepEqual(there.sort(), Object.keys(PRINTED).sort())
  const listed = readFileSync('examples/README.md', 'utf8')
  for (const name of there) assert.ok(listed.includes(`\`${name}\``), name)
})
