/** ListGroups: there are no groups yet. */
import type { Handler } from '../context.ts'

export const listGroups: Handler<'ListGroups'> = () => ({ errorCode: 0, groups: [] })
