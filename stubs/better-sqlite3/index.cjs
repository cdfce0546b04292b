// mem0ai imports this name when it is loaded, whatever its stores are. Ours need no SQLite; the benchmark's peer, Mem0's own
// store, gets the one that comes with Node, so that nothing is compiled.
module.exports = class Database {
  constructor(file) {
    const { DatabaseSync } = require('node:sqlite');
    this.database = new DatabaseSync(file);
  }

  exec(sql) {
    this.database.exec(sql);
    return this;
  }

  prepare(sql) {
    return this.database.prepare(sql);
  }

  transaction(work) {
    return (...args) => {
      this.database.exec('BEGIN');
      try {
        const result = work(...args);
        this.database.exec('COMMIT');
        return result;
      } catch (error) {
        this.database.exec('ROLLBACK');
        throw error;
      }
    };
  }

  close() {
    this.database.close();
  }
};
