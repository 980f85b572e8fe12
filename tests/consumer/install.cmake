# Installs the build tree BUILD into PREFIX, emptied first so that no stale header helps.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}
                        --component development
                COMMAND_ERROR_IS_FATAL ANY)
