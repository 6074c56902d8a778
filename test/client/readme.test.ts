/**
 * The programs in README.md's sections about the client run as they stand there, as a new user types them, against a broker at
 * the address that they name. Types are checked where the package is (test/e2e/package.test.ts).
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { transform } from 'esbuild'
import { startBroker } from '../../broker/embedded.ts'

// Inside the checkout, where `ottla` is this package.
const folder = join('dist', `readme-${process.pid}`)
mkdirSync(folder)
after(() => rmSync(folder, { recursive: true }))

const readme = readFileSync('README.md', 'utf8')
const from = readme.indexOf('## A broker inside a test')
const sections = readme.slice(from, readme.indexOf('## I want to'))
const blocks = [...sections.matchAll(/^```(ts|js)\n([\s\S]*?)^```$/gm)].map(
  ([, language, text]) => ({ language: language as 'ts' | 'js', text: text! }),
)

const PRINTED: readonly RegExp[] = [
  /# pass 1\b[\s\S]*# fail 0/,
  /^0 tea\n$/,
  /^(in\nout|out\nin)\n(audit 0\n)+$/,
  /^k1 Hello KafkaJS user!\n$/,
]

test('the README has the programs that are expected here', () => {
  assert.equal(blocks.length, PRINTED.length)
})

for (const [i, { language, text }] of blocks.entries()) {
  test(`README: ${text.split('\n').find(line => line.startsWith('const'))}`, async () => {
    const broker = await startBroker()
    try {
      const { code } = await transform(text, { loader: language, format: 'esm', target: 'node20' })
      const file = join(folder, `${i}.mjs`)
      writeFileSync(file, code.replaceAll('localhost:9092', broker.bootstrap))
      const env = { ...process.env }
      delete env['NODE_TEST_CONTEXT']
      const args = text.includes("'node:test'") ? ['--test', '--test-reporter=tap', file] : [file]
      const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 60_000 })
      assert.match(stdout, PRINTED[i]!)
    } finally {
      await broker.stop()
    }
  })
}
