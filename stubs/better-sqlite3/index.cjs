// mem0ai imports this name when it is loaded, whatever its stores are; ours need no SQLite.
module.exports = class Database {
  constructor() {
    throw new Error(
      "Mem0's SQLite stores are not part of this build: memories are in Vespa, and there is no history (docs/memory.md)",
    );
  }
};
