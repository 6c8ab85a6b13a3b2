# SPDX-License-Identifier: Apache-2.0
# The few functions with which every folder describes itself.
include_guard(GLOBAL)

# Enters a folder that describes itself; one that does not is skipped.
function(smqtt_enter dir)
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${dir}/CMakeLists.txt")
        add_subdirectory(${dir})
    endif()
endfunction()

# smqtt_floor(<floor> SOURCES a.c b.c … [DEPS <lower floors>] [LIBS <imported libraries>])
# Makes the objects smq_<floor> (position independent, hidden) and the archive smq_<floor>_a, which brings its DEPS and
# LIBS along.
function(smqtt_floor floor)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;LIBS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "smqtt_floor(${floor}): unknown words: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    add_library(smq_${floor} OBJECT ${arg_SOURCES})
    target_include_directories(smq_${floor} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(smq_${floor} PRIVATE smqtt_flags ${arg_LIBS})
    set_target_properties(smq_${floor} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)

    add_library(smq_${floor}_a STATIC $<TARGET_OBJECTS:smq_${floor}>)
    set_target_properties(smq_${floor}_a PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(smq_${floor}_a INTERFACE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(smq_${floor}_a PUBLIC ${arg_LIBS})
    foreach(dep IN LISTS arg_DEPS)
        # A lower floor that has no sources yet is headers only.
        target_link_libraries(smq_${floor}_a PUBLIC $<TARGET_NAME_IF_EXISTS:smq_${dep}_a>)
    endforeach()
endfunction()

# Private: what programs made of floors have in common.
function(smqtt_link_floors target)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
    target_link_libraries(${target} PRIVATE smqtt_flags)
    foreach(floor IN LISTS ARGN)
        target_link_libraries(${target} PRIVATE $<TARGET_NAME_IF_EXISTS:smq_${floor}_a>)
    endforeach()
endfunction()

# smqtt_unit_test(<name> FLOORS <floors…> [SOURCES <helpers>] [LIBS <libraries>] [LABELS <more labels>])
# <name>.c of a folder tests/unit/<floor> becomes the test unit/<floor>/<name>, run from the top of the tree.
function(smqtt_unit_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FLOORS;SOURCES;LIBS;LABELS")
    get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    set(target unit_${folder}_${name})
    add_executable(${target} ${name}.c ${arg_SOURCES})
    smqtt_link_floors(${target} ${arg_FLOORS})
    target_link_libraries(${target} PRIVATE smqtt_cmocka ${arg_LIBS})
    target_compile_definitions(${target} PRIVATE SMQ_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/vectors")
    add_test(NAME unit/${folder}/${name} COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(unit/${folder}/${name} PROPERTIES LABELS "unit;${arg_LABELS}" TIMEOUT 300)
endfunction()

# smqtt_fuzz(<name> FLOORS <floors…> [SOURCES <helpers>])
# <name>.c defines LLVMFuzzerTestOneInput: a libFuzzer program in the preset fuzz, else the test fuzz/<name> that
# replays tests/fuzz/corpus/<name>.
function(smqtt_fuzz name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FLOORS;SOURCES;LIBS")
    set(target fuzz_${name})
    add_executable(${target} ${name}.c ${arg_SOURCES})
    smqtt_link_floors(${target} ${arg_FLOORS})
    target_link_libraries(${target} PRIVATE ${arg_LIBS})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
    if(SMQTT_FUZZ)
        add_dependencies(fuzzers ${target})
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c")
        add_test(NAME fuzz/${name} COMMAND ${target} "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}"
                 WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
        set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 120)
    endif()
endfunction()

# smqtt_script_test(<name> LABELS <labels…> COMMAND <command…> [TIMEOUT <seconds>] [COST <seconds>] [SERIAL])
# A test that is a script, run from the top of the tree. COST: about how long it takes; the longest start first.
function(smqtt_script_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT;COST" "LABELS;COMMAND")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    if(NOT arg_COST)
        set(arg_COST 0)
    endif()
    add_test(NAME ${name} COMMAND ${arg_COMMAND} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} COST ${arg_COST}
                         RUN_SERIAL "${arg_SERIAL}" SKIP_RETURN_CODE 77)
endfunction()

# smqtt_app(<program> SOURCES a.c … FLOORS <floors…> [LIBS <libraries>] [NO_INSTALL])
# A program in <build>/bin.
function(smqtt_app name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "NO_INSTALL" "" "SOURCES;FLOORS;LIBS")
    add_executable(${name} ${arg_SOURCES})
    smqtt_link_floors(${name} ${arg_FLOORS})
    target_link_libraries(${name} PRIVATE ${arg_LIBS})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
    if(NOT arg_NO_INSTALL)
        install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
        add_dependencies(product ${name})
    endif()
endfunction()
