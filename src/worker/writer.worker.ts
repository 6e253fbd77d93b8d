/** The thread that hashes and writes an export's files, so that neither keeps the GPU's waiting. */
import { createFileWriter } from "../store/fileWriter";
import { expose } from "./rpc";

expose(createFileWriter(), self);
