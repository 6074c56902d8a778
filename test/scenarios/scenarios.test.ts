/** Every text in this folder: what happens in it is what the code does (script.ts says how to read them). */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { GroupStage } from './group-stage.ts'

const folder = join('test', 'scenarios')

for (const name of readdirSync(folder).filter(file => file.endsWith('.txt'))) {
  test(name.replace('.txt', '').replaceAll('-', ' '), () => {
    const path = join(folder, name)
    const text = readFileSync(path, 'utf8')
    const actual = GroupStage.rewrite(text)
    if (actual === text) return
    if (process.env['UPDATE'] === '1') return writeFileSync(path, actual)
    assert.equal(actual, text, `${path}: UPDATE=1 writes it anew`)
  })
}
