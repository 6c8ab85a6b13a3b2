# SPDX-License-Identifier: Apache-2.0
# libsmqtt, static and shared, from the objects of the floors that need no system; and how other projects find it.
include(CMakePackageConfigHelpers)

file(STRINGS include/smqtt/system.h version REGEX "^#define SMQTT_VERSION \"${PROJECT_VERSION}\"$")
if(NOT version)
    message(FATAL_ERROR "include/smqtt/system.h names another version than CMakeLists.txt (${PROJECT_VERSION})")
endif()

set(objects "")
foreach(floor IN ITEMS base codec crypto session detect client)
    if(TARGET smq_${floor})
        list(APPEND objects $<TARGET_OBJECTS:smq_${floor}>)
    endif()
endforeach()

add_library(smqtt_static STATIC ${objects})
add_library(smqtt_shared SHARED ${objects})
set_target_properties(smqtt_static PROPERTIES OUTPUT_NAME smqtt EXPORT_NAME smqtt_static LINKER_LANGUAGE C)
set_target_properties(smqtt_shared PROPERTIES
    OUTPUT_NAME smqtt EXPORT_NAME smqtt LINKER_LANGUAGE C VERSION ${PROJECT_VERSION} SOVERSION 0
    LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/libsmqtt.map")
target_link_options(smqtt_shared PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/libsmqtt.map)
if(NOT SMQTT_SANITIZE)
    target_link_options(smqtt_shared PRIVATE LINKER:-z,defs)
endif()
foreach(library IN ITEMS smqtt_static smqtt_shared)
    set_target_properties(${library} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib"
                                                LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
    target_link_libraries(${library} PRIVATE $<BUILD_INTERFACE:smqtt_flags> OpenSSL::Crypto)
    target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
add_library(smqtt::smqtt ALIAS smqtt_shared)
add_library(smqtt::smqtt_static ALIAS smqtt_static)

file(RELATIVE_PATH SMQTT_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" SMQTT_PC_TO_PREFIX "${SMQTT_PC_TO_PREFIX}")
configure_file(cmake/smqtt.pc.in smqtt.pc @ONLY)
configure_package_config_file(cmake/smqttConfig.cmake.in smqttConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/smqtt)
# Until 1.0 a minor version may break what uses it.
write_basic_package_version_file(smqttConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS smqtt_static smqtt_shared EXPORT smqttTargets)
install(EXPORT smqttTargets NAMESPACE smqtt:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/smqtt)
install(DIRECTORY include/smqtt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
install(FILES "${PROJECT_BINARY_DIR}/smqtt.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES "${PROJECT_BINARY_DIR}/smqttConfig.cmake" "${PROJECT_BINARY_DIR}/smqttConfigVersion.cmake"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/smqtt)
# Manual pages of section 3 are made of the headers.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
    file(GLOB manual_of CONFIGURE_DEPENDS include/smqtt/*.h include/smqtt/*.def)
    add_custom_command(OUTPUT man3.stamp
        COMMAND ${Python3_EXECUTABLE} -B "${PROJECT_SOURCE_DIR}/tools/manual.py" "${PROJECT_BINARY_DIR}/man3"
        COMMAND ${CMAKE_COMMAND} -E touch man3.stamp
        DEPENDS ${manual_of} tools/manual.py tools/api.py docs/man/libsmqtt.3.in examples/in_memory.c
        COMMENT "Writing the manual pages of libsmqtt" VERBATIM)
    add_custom_target(manual ALL DEPENDS man3.stamp)
    add_dependencies(product manual)
    install(DIRECTORY "${PROJECT_BINARY_DIR}/man3/" DESTINATION ${CMAKE_INSTALL_MANDIR}/man3
            FILES_MATCHING PATTERN "*.3")
else()
    message(WARNING "Python 3 was not found, so libsmqtt has no manual pages: install python3.")
endif()
foreach(section IN ITEMS 1 5 7 8)
    file(GLOB pages CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.${section}")
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
