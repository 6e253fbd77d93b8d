/** The last part of a hub name or a path, without a revision: what a folder of the model is called. */
export const folderOf = (name: string): string => name.replace(/@[^@/\\]*$/, "").replace(/[/\\]+$/, "").split(/[/\\]/).at(-1)!;

/** Whether two names mean one model as far as names can tell: equal, or equal folders whatever their case. */
export const sameModel = (a: string, b: string): boolean => a === b || folderOf(a).toLowerCase() === folderOf(b).toLowerCase();
