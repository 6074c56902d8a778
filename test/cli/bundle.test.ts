/** What a start of `ottla broker` reads: time until a broker is ready is mostly time to find and compile code. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const BUNDLE = join('dist', 'bundle')
/** 4 files and 950,000 characters when this was written. */
const MAX_FILES = 6
const MAX_BYTES = 1_050_000

/** The files that this one needs before it runs. */
function filesFrom(name: string, found = new Map<string, string>()): Map<string, string> {
  const text = readFileSync(join(BUNDLE, name), 'utf8')
  found.set(name, text)
  for (const [, next] of text.matchAll(/^(?:import|export|\}) ?(?:.* )?(?:from )?"\.\/(.+)";$/gm)) {
    if (!found.has(next!)) filesFrom(next!, found)
  }
  return found
}

test('the broker is a few files, without what most brokers never need', t => {
  const files = filesFrom('broker-main.js')
  const text = [...files.values()].join('')
  t.diagnostic(`${files.size} files, ${text.length} characters`)
  assert(files.size > 1 && files.size <= MAX_FILES, `${[...files.keys()]}`)
  assert(text.length < MAX_BYTES, `${text.length} characters`)
  for (const name of ['re2js', 'prom-client', 'pino-pretty', 'commander', 'kafkajs']) {
    assert(!text.includes(`// node_modules/${name}/`), `${name} is read at each start`)
    assert(!new RegExp(`^import .*"${name}"`, 'm').test(text), `${name} is read at each start`)
  }
  assert(text.includes('// node_modules/pino/'), 'what is looked for is spelled like this')
})
